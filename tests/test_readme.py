"""The README's example runs, its table is generated, and it stays an entrance."""

import importlib.util
import re
import sys
from pathlib import Path

import lightning as L
import pytest
from tiny import Net
from write_tables import render

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_table_of_tricks_is_the_one_that_the_command_prints() -> None:
    assert render("README.md") == README, "run `make tables`"


def test_the_numbers_of_the_demo_are_those_of_its_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "evidence"))
    spec = importlib.util.spec_from_file_location("demo", ROOT / "evidence" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["demo"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert f"{module.BEGIN}{module.sentence()}{module.END}" in README, "run `python evidence/demo.py --sentence`"


def test_it_is_an_entrance_not_a_manual() -> None:
    by_hand = re.sub(r"<!-- tricks -->.*?<!-- /tricks -->", "", README, flags=re.DOTALL)
    assert len(by_hand.splitlines()) <= 146, "without the table, which has a row for each trick"


def test_every_page_of_the_documentation_is_linked() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README)}


def test_the_example_with_a_trainer_of_ones_own_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    example = next(code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "Trainer(" in code)
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    trainer_class, net = L.Trainer, Net()

    def small(**arguments: object) -> L.Trainer:
        quiet = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return trainer_class(**{**arguments, **quiet})

    monkeypatch.setattr(L, "Trainer", small)
    exec(example, {"model": net, "data": None})
    rates = [lrs[1] for _, lrs in net.trace]
    assert len(rates) == 30 * 6
    assert rates[60] in (0.1 * 0.6, 0.1 * 0.6 / 2)  # the second cycle's peak, halved if nothing improved so soon
