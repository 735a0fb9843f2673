# Two commands: `make demo` trains on real data and shows the result, `make test` runs the tests.
# uv is used where it is installed, else venv and pip. Both read constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo sweep test lint bench bench-lr-finder clean

demo: $(INSTALLED)
	$(BIN)/python examples/train.py

sweep: $(INSTALLED)
	$(BIN)/python examples/train.py -m experiment=sweep hydra.sweep.dir=multirun/digits
	$(BIN)/lightning-tricks compare multirun/digits --plot multirun/digits/compare.png

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run.py

bench-lr-finder: $(INSTALLED)
	$(BIN)/python benchmarks/bench_lr_finder.py --all

clean:
	rm -rf $(VENV) outputs multirun

# uv does not read pip's settings: an index or folder of wheels given to pip is handed on.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "lightning-tricks needs Python 3.10 or newer: make PYTHON=/path/to/python3.12"; exit 1; }
	@if command -v uv >/dev/null; then \
		uv venv --quiet --clear --python "$$(command -v $(PYTHON))" $(VENV) && \
		UV_FIND_LINKS="$${UV_FIND_LINKS-$$PIP_FIND_LINKS}" \
			uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[test,lint]'; \
	else \
		$(PYTHON) -m venv --clear $(VENV) && \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,lint]'; \
	fi
	@touch $@
