"""`lightning-tricks gradcheck`: 0 correct, 1 wrong, 2 cannot be checked."""

import json
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main

CODE = """
import lightning.pytorch as L
import torch
from tiny import Net, StatefulLoader
from torch.autograd import Function

def right():
    return Net(), StatefulLoader()

class Data(L.LightningDataModule):
    def train_dataloader(self):
        return StatefulLoader()

def with_datamodule():
    return Net(), Data()

class Double(Function):
    @staticmethod
    def forward(ctx, x):
        print("the user's own line")
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return grad

class Wrong(Net):
    def loss(self, batch):
        return Double.apply(super().loss(batch))

    def train_dataloader(self):
        return StatefulLoader()

class Cast(Wrong):
    def loss(self, batch):
        return super().loss(batch).float()

def empty():
    return Net(), []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "checked.py").write_text(CODE)
    return tmp_path / "checked.py"


@pytest.mark.parametrize("name", ["right", "with_datamodule"])
def test_right_gradients_end_with_zero(file: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = file.with_suffix(".json")
    assert main(["gradcheck", f"{file}:{name}", "--directions", "2", "--json", str(numbers)]) == 0
    assert capsys.readouterr().out.startswith("gradients are right: relative difference ")
    assert json.loads(numbers.read_text())["ok"] is True


def test_wrong_gradients_end_with_one_and_a_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", f"{file}:Wrong", "--directions", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "gradients are wrong: relative difference 3.3e-01, above 1e-07"
    assert "wrong  3.3e-01  head.weight" in lines


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Cast", [], "The step casts to float32"),
        ("empty", [], "the training loader raised StopIteration: it has no batch"),
        ("right", ["--budget", "soon"], "`budget` must be a length of time"),
        ("nothing", [], "has no attribute 'nothing'"),
    ],
)
def test_what_cannot_be_judged_ends_with_two(
    file: Path, name: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gradcheck", f"{file}:{name}", *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
