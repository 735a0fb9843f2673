# Two commands: `make demo` trains on real data and shows the result, `make test` runs the tests.
# uv is used where it is installed, else venv and pip. Both read constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORLD := .venv-world
GPU := .gpu
DEVICE ?= cuda
DEMO := $(VENV)/.demo
INSTALLED := $(VENV)/.installed
EXTRAS_demo := demo
EXTRAS_installed := test,lint
SITE := build/docs
EXTRAS_site := docs

.PHONY: demo sweep test lint tables docs bench bench-lr-finder bench-gradient-check gpu doctor-world evidence clean

demo: $(DEMO)
	@echo "Training a small CNN on 1,797 handwritten digits: 30 epochs, the tricks of conf/train.yaml"
	$(BIN)/python examples/train.py

sweep: $(DEMO)
	$(BIN)/python examples/train.py -m experiment=sweep hydra.sweep.dir=multirun/digits
	$(BIN)/lightning-tricks compare multirun/digits --plot multirun/digits/compare.png

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(TESTS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The generated tables of README.md, docs/rules.md and docs/strategies.md.
tables: $(INSTALLED)
	$(BIN)/python docs/write_tables.py
	$(BIN)/python tests/support/scripts/strategy_matrix.py --page

# The site: build/docs/html, a folder for any static host. A warning is an error.
docs: $(VENV)/.site
	$(BIN)/python docs/builder/assemble.py $(SITE)
	$(BIN)/python -m sphinx -q -j 2 -W --keep-going -c docs -d $(SITE)/doctrees $(SITE)/source $(SITE)/html
	@echo "The site is in $(SITE)/html: open $(SITE)/html/index.html"

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run.py

bench-lr-finder: $(INSTALLED)
	$(BIN)/python benchmarks/bench_lr_finder.py --all

bench-gradient-check: $(INSTALLED)
	$(BIN)/python benchmarks/bench_gradient_check.py

# What a GPU shows, in eight minutes. PYTHON needs torch, lightning, torchmetrics, hydra-core and pytest: nothing is
# installed but the package itself, without its dependencies and into a folder of its own. WHEEL=FILE takes a built wheel,
# on a machine that cannot build one. Without a GPU it says what it would do; DEVICE=cpu runs it there.
gpu:
	@rm -rf $(GPU)
	@$(PYTHON) -m pip install -q --no-deps --disable-pip-version-check --target $(GPU) $(or $(WHEEL),.)
	@PYTHONPATH="$(CURDIR)/$(GPU)$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) benchmarks/gpu.py --device $(DEVICE) $(ARGS)

# Models of other packages, in an environment of their own (tests/world/requirements.txt), and faults that peers show.
doctor-world:
	@test -x $(WORLD)/bin/python || $(PYTHON) -m venv $(WORLD)
	$(WORLD)/bin/python -m pip install -q -c constraints.txt -e '.[test]' -r tests/world/requirements.txt
	OMP_NUM_THREADS=1 $(WORLD)/bin/python tests/world/corpus/run.py
	OMP_NUM_THREADS=1 $(WORLD)/bin/python tests/world/galleries/run.py

# Scores of the tricks on data that packages ship; what evidence/*.csv holds is not measured again.
# QUICK=1 prints the figures of one seed of four tasks and keeps nothing.
evidence: $(INSTALLED)
	$(BIN)/python -m pip install -q --no-deps -r evidence/requirements.txt
	OMP_NUM_THREADS=1 $(BIN)/python evidence/run.py $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python evidence/few_rows.py)
	$(if $(QUICK),,PYTHONPATH=examples $(BIN)/python evidence/transfer.py)
	$(if $(QUICK),,$(BIN)/python evidence/demo.py)
	$(if $(QUICK),,$(BIN)/python evidence/worth.py)

clean:
	rm -rf $(VENV) $(WORLD) $(GPU) gpu-results outputs multirun

# What a target needs is installed once, into $(VENV), and shown while it comes: the demo needs far less than the tests.
# uv does not read pip's settings: an index or folder of wheels given to pip is handed on.
$(VENV)/.%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "lightning-tricks needs Python 3.10 or newer: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Installing lightning-tricks[$(EXTRAS_$*)] into $(VENV) (once; most of it is PyTorch)"
	@if command -v uv >/dev/null; then \
		{ test -x $(BIN)/python || uv venv --python "$$(command -v $(PYTHON))" $(VENV); } && \
		UV_FIND_LINKS="$${UV_FIND_LINKS-$$PIP_FIND_LINKS}" \
			uv pip install --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS_$*)]'; \
	else \
		{ test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
		$(BIN)/python -m pip install -c constraints.txt -e '.[$(EXTRAS_$*)]'; \
	fi
	@touch $@
