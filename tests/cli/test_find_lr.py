"""`lightning-tricks find-lr`: a rate from the command line."""

import json
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main

CODE = """
from tiny import Net, StatefulLoader

def make():
    return Net(), StatefulLoader(batch_size=64)

class Flat(Net):
    def loss(self, batch):
        return super().loss(batch) * 0 + 1

def flat():
    return Flat(), StatefulLoader()

def many():
    return 1, 2, 3

class Own(Net):
    def train_dataloader(self):
        return StatefulLoader(batch_size=64)

def alone():
    return Own()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize("name", ["make", "alone"])
def test_it_prints_the_rate_and_writes_figure_and_numbers(
    file: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, numbers = file.with_suffix(".png"), file.with_suffix(".json")
    assert main(["find-lr", f"{file}:{name}", "--plot", str(plot), "--json", str(numbers)]) == 0
    found = json.loads(numbers.read_text())["suggestion"]
    assert capsys.readouterr().out.startswith(f"learning rate {found:.3g}: "), "a progress bar is no result"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_without_a_suggestion_it_ends_with_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-lr", f"{file}:flat"]) == 1
    assert "no suggestion: the loss is flat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mine.py", "is not of the form"),
        ("nowhere.py:make", "There is no file nowhere.py"),
        ("{file}:nothing", "has no attribute 'nothing'"),
        ("{file}:many", "got 3 values"),
        ("no_such_module:make", "No module named"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_line(
    file: Path, target: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find-lr", target.format(file=file)]) == 2
    assert message in capsys.readouterr().err


def test_epochs_and_seed_are_those_of_the_training_to_come(file: Path) -> None:
    found = []
    for epochs in ("1", "50", "50"):
        numbers = file.with_suffix(".json")
        assert main(["find-lr", f"{file}:make", "--epochs", epochs, "--seed", "3", "--json", str(numbers)]) == 0
        found.append(json.loads(numbers.read_text()))
    assert [result["planned_steps"] for result in found] == [6, 300, 300]
    assert found[1] == found[2]
