"""`lightning-tricks size`: one table from a model and its data."""

from pathlib import Path

import pytest

from lightning_tricks.cli.main import main

CODE = """
import lightning.pytorch as L
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

class Net(L.LightningModule):
    def __init__(self, side=4):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(side, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        print("a step of the user's")
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

def loader(rows=3000):
    return DataLoader(TensorDataset(torch.zeros(rows, 2, 2), torch.zeros(rows, dtype=torch.long)), batch_size=32)

class Data(L.LightningDataModule):
    def train_dataloader(self):
        return loader()

class Own(Net):
    train_dataloader = lambda self: loader()

class Stream(IterableDataset):
    def __iter__(self):
        yield from [(torch.zeros(2, 2), torch.tensor(0))] * 64

def make():
    return Net(), loader()

def with_datamodule():
    return Net(), Data()

def few():
    return Net(), loader(100)

def wrong():
    return Net(side=5), loader()

def stream():
    return Net(), DataLoader(Stream(), batch_size=32)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "sized.py").write_text(CODE)
    return tmp_path / "sized.py"


@pytest.mark.parametrize("name", ["make", "with_datamodule", "Own"])
def test_the_table_has_rows_widths_capacity_batch_sizes_and_memory(
    file: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", f"{file}:{name}"]) == 0
    assert capsys.readouterr().out.splitlines()[:7] == [
        "rows         3,000, in batches of 32",
        "features     4 per row",
        "outputs      3 per row",
        "parameters   67 trainable, 0.00744 per output of a row",
        "hidden width 6 by inputs and outputs (2/3 of the inputs + outputs)",
        "             42 to 214 by rows (a = 10 to 2 rows per weight)",
        "batch sizes  64, 128, 256, 512",
    ]


def test_few_rows_are_one_batch_and_memory_counts_weights_and_rows(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", f"{file}:few"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[6] == "batch sizes  100"
    # 67 weights of 4 bytes, four times; a row of 4 floats, a label, and the results of two layers and a ReLU
    assert lines[7] == "memory       1.07 kB for weights, gradients and two moments, 100 B per row"
    assert lines[8].strip() == "11.1 kB at 100"


def test_sizes_that_exceed_the_memory_are_left_out(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", f"{file}:make", "--memory-gb", "2e-5"]) == 0
    assert "batch sizes  64, 128\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stream", [], "number of training rows is unknown"),
        ("wrong", [], "`training_step` raised RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("make", ["--memory-gb", "1e-6"], "the weights alone need 1.07 kB"),
        ("make", ["--memory-gb", "-1"], "`--memory-gb` must be finite and > 0"),
        ("Net", [], "train_dataloader"),
    ],
)
def test_what_cannot_be_measured_ends_with_two_and_one_line(
    file: Path, name: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", f"{file}:{name}", *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
