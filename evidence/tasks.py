"""The tasks of the evidence: rows that train, choose and score, a network and a loss."""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F

import networks
import shipped_rows
from shipped_rows import Rows

LETTERS = string.ascii_lowercase + " .,\n"
TEXT = 16  # characters in a row


@dataclass(frozen=True)
class Task:
    """What is learned, for how long.

    Attributes:
        rows: loads all rows.
        build: makes the network, after the seed was set.
        epochs: passes over the training rows.
        batch: rows in a batch.
        train: training rows.
        val: rows that choose; all others score.
        held_out: never looked at while the recipe was designed.
        ordered: the rows are a series, and those that choose and score come after those that train.
    """

    rows: Callable[[], Rows]
    build: Callable[[], nn.Module]
    epochs: int
    batch: int
    train: int
    val: int
    held_out: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class Split:
    """The rows of one seed, standardized by the training rows."""

    train: Rows
    val: Rows
    test: Rows


def split(task: Task, seed: int) -> Split:
    """Draw the rows that train, choose and score; inputs and numeric targets are standardized by the training rows."""
    x, y = task.rows()
    shuffled = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    order = torch.arange(len(x)) if task.ordered else shuffled
    parts = order.split([task.train, task.val, len(x) - task.train - task.val])
    same = x is y
    if x.is_floating_point() and not same:
        kept = x[parts[0]].flatten(0, -2) if x.ndim == 3 else x[parts[0]].reshape(len(parts[0]), -1)
        if x.ndim < 4:  # pixels keep their common scale
            x = (x - kept.mean(0)) / kept.std(0).clamp_min(1e-3)
    if y.is_floating_point() and not same:
        y = ((y - y[parts[0]].mean()) / y[parts[0]].std())[:, None]
    return Split(*[(x[rows], y[rows]) for rows in parts])


def loss_of(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error for numbers, the cross entropy for classes."""
    return F.mse_loss(outputs, target) if target.is_floating_point() else F.cross_entropy(outputs, target)


def _text(text: str) -> Rows:
    return shipped_rows.characters(text, TEXT, LETTERS)


def _restored(rows: Rows) -> Rows:
    return rows[0], rows[0]


TASKS: dict[str, Task] = {
    "digits, small CNN": Task(shipped_rows.images, lambda: networks.cnn(10), 12, 32, 640, 400),
    "digits, residual net": Task(shipped_rows.images, lambda: networks.ResidualNet(8, 10), 10, 32, 640, 400),
    "digits, row LSTM": Task(shipped_rows.images, lambda: networks.Recurrent(nn.LSTM, 8, 10), 15, 32, 640, 400),
    "digits, autoencoder": Task(lambda: _restored(shipped_rows.images()), networks.Autoencoder, 20, 32, 640, 400),
    "prices of computers, MLP": Task(
        lambda: shipped_rows.r_table("Ecdat/Computers", "price", 2400), lambda: networks.mlp(9, 1), 20, 64, 1024, 600
    ),
    "breast cancer, MLP": Task(
        lambda: shipped_rows.table(datasets.load_breast_cancer), lambda: networks.mlp(30, 2), 25, 16, 240, 150
    ),
    "descriptions, character transformer": Task(
        lambda: _text(shipped_rows.data_descriptions()),
        lambda: networks.CharacterModel(len(LETTERS) + 1, TEXT, False),
        6,
        32,
        1600,
        400,
    ),
    "sunspots, transformer": Task(
        lambda: shipped_rows.windows(shipped_rows.sunspots(), 16, 2),
        lambda: networks.Transformer(1, 1, 16),
        10,
        32,
        800,
        300,
        ordered=True,
    ),
    "diamonds, MLP": Task(
        lambda: shipped_rows.r_table("ggplot2/diamonds", "price", 3000),
        lambda: networks.mlp(23, 1),
        15,
        32,
        800,
        600,
        held_out=True,
    ),
    "anger, MLP with dropout": Task(
        lambda: shipped_rows.r_table("lme4/VerbAgg", "r2", 2500, ("Anger", "Gender", "item", "btype", "situ", "mode")),
        lambda: networks.mlp(29, 2, dropout=0.2),
        10,
        32,
        1200,
        600,
        held_out=True,
    ),
    "power demand, residual net": Task(
        lambda: shipped_rows.labeled_series("ItalyPowerDemand"),
        lambda: networks.ResidualNet(1, 2),
        20,
        32,
        320,
        300,
        held_out=True,
    ),
    "photograph, autoencoder": Task(shipped_rows.patches, networks.Autoencoder, 20, 32, 800, 400, held_out=True),
    "language reference, character GRU": Task(
        lambda: _text(shipped_rows.language_reference()),
        lambda: networks.CharacterModel(len(LETTERS) + 1, TEXT, True),
        6,
        32,
        1600,
        400,
        held_out=True,
    ),
    "wages, MLP with batch norm": Task(
        lambda: shipped_rows.r_table("car/SLID", "wages", 2400),
        lambda: networks.normed_mlp(5, 1),
        8,
        64,
        1200,
        600,
        held_out=True,
    ),
}


def kinds(held_out: bool | None = None) -> list[str]:
    """Return the names of tasks: all, or those that were or were not held out."""
    return [name for name, task in TASKS.items() if held_out is None or task.held_out == held_out]


def describe(task: Task) -> dict[str, Any]:
    """Return the sizes of a task, for the page."""
    steps = task.epochs * -(-task.train // task.batch)
    return {"steps": steps, "train": task.train, "val": task.val, "score": len(task.rows()[0]) - task.train - task.val}
