"""`lightning-tricks find-batch-size`: a size from the command line."""

import json
from itertools import count
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main
from lightning_tricks.engine.trial import batch_size_search

CODE = """
import torch
from tiny import Net
from torch.utils.data import DataLoader, TensorDataset

X = torch.randn(64, 4)
DATA = TensorDataset(X, X.sum(1, keepdim=True).tanh())

class Own(Net):
    def train_dataloader(self):
        print("of the user")
        return DataLoader(DATA, 8)

    def val_dataloader(self):
        return DataLoader(DATA, 32)

class Flat(Own):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.tensor(1.0))
"""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock take a hundredth of a second, however loaded the machine is."""
    monkeypatch.setattr(batch_size_search, "perf_counter", count(step=0.01).__next__)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path / "mine.py"


def test_it_prints_the_size_and_writes_figure_and_numbers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, numbers = file.with_suffix(".png"), file.with_suffix(".json")
    options = ["--sizes", "8,16", "--budget", "2s", "--plot", str(plot), "--json", str(numbers)]
    assert main(["find-batch-size", f"{file}:Own", *options]) == 0
    found = json.loads(numbers.read_text())
    assert found["suggestion"] in (8, 16)
    assert [trial["size"] for trial in found["trials"]] == [8, 16]
    shown = capsys.readouterr()
    assert shown.out.startswith(f"batch size {found['suggestion']}: `val_loss` goes from")
    assert "of the user" in shown.err
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_without_a_suggestion_it_ends_with_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-batch-size", f"{file}:Flat", "--sizes", "8", "--budget", "1s"]) == 1
    assert "no suggestion: `val_loss` is 1 before training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sizes", "8,x"], "`--sizes` must be whole numbers"),
        (["--sizes", "65"], "at most the 64 training rows"),
        (["--budget", "soon"], "`budget` must be a length of time"),
        (["--monitor", "acc"], "'acc' is not logged in validation; logged: val_loss"),
    ],
)
def test_what_cannot_be_tried_ends_with_two_and_one_line(
    file: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find-batch-size", f"{file}:Own", *options]) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("lightning-tricks")]
    assert message in line
