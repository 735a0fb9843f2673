"""The README says what is: its table is the command's, its Python runs, its files exist."""

import re
from pathlib import Path

import lightning as L
import pytest
from tiny import Net

from lightning_tricks.cli.list import markdown_table, rules_table, tricks_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def between(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n(.*?)\n*<!-- /{marker} -->", README, flags=re.DOTALL)
    assert found, f"no <!-- {marker} --> in README.md"
    return found[1].strip()


def test_the_table_of_tricks_is_the_one_that_the_command_prints() -> None:
    assert between("tricks") == markdown_table(tricks_table(own=True)), "paste `list --format markdown`"


def test_the_table_of_rules_is_the_one_that_the_command_prints() -> None:
    assert between("rules") == markdown_table(rules_table()), "paste `lightning-tricks list rules --format markdown`"


def test_every_file_that_is_linked_exists() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


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
