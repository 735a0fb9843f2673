"""`find_batch_size` against an exhaustive run: how often they agree within a factor of two.

For each of three tasks `find_batch_size` looks with ten seeds. The exhaustive run trains at every size with so many
other seeds that it takes at least ten times as long, in a plain loop without Lightning, and chooses by the same rule
from the mean scores. `--long SECONDS` trains at every size for so long instead, with one seed: with enough time all
sizes reach the same score, so that the rule takes the smallest. The clock is the time that this process computed, so
that other work on the machine does not count. `--plot DIR` writes the curves of the first seed.
"""

import argparse
import logging
import math
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import BatchSizeResult, find_batch_size
from lightning_tricks.engine.trial import batch_size_search
from lightning_tricks.functional.batch_size_choice import choose_batch_size, scaled_lr

SIZES = [16, 32, 64, 128, 256, 512]
OWN = 64
POINTS = 8
TIMES = 10.5  # as much time as a search has an exhaustive run, at least
Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """Data in two parts, a network, a loss and an optimizer for batches of 64 rows."""

    name: str
    build: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[..., torch.optim.Optimizer]
    lr: float
    rule: Any
    train: Data
    val: Data


class Learner(L.LightningModule):
    """A task as a module."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.net = task, task.build()

    def training_step(self, batch: Data, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self.task.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Data, batch_idx: int) -> None:
        """Log the loss of a batch."""
        self.log("val_loss", self.task.loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the task."""
        return self.task.optimizer(self.parameters(), lr=self.task.lr)


class LastOutput(nn.Module):
    """An LSTM over the rows of an image, and a layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of ten classes."""
        return self.head(self.lstm(x.squeeze(1))[0][:, -1])


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def tasks() -> list[Task]:
    images, classes = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
    y, order = torch.tensor(classes), torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x = (x - x.mean()) / x.std()
    train, val = order[:1300], order[1300:]
    digits = ((x[train], y[train]), (x[val], y[val]))
    generator = torch.Generator().manual_seed(0)
    rows, mix = torch.randn(12_000, 20, generator=generator), torch.randn(20, 4, generator=generator) / 4
    target = (rows @ mix).tanh().sum(1, keepdim=True) + 0.3 * torch.randn(12_000, 1, generator=generator)
    regression = ((rows[:10_000], target[:10_000]), (rows[10_000:], target[10_000:]))
    momentum = partial(torch.optim.SGD, momentum=0.9)
    return [
        Task("digits, CNN, SGD", cnn, F.cross_entropy, momentum, 0.05, "linear", *digits),
        Task("digits by rows, LSTM, Adam", LastOutput, F.cross_entropy, torch.optim.Adam, 0.01, "sqrt", *digits),
        Task("regression, perceptron, Adam", perceptron, F.mse_loss, torch.optim.Adam, 0.003, "sqrt", *regression),
    ]


def exhaustive(task: Task, seconds: float, seed: int) -> dict[int, float]:
    """Train at each size for so many seconds and return the scores, and under 0 the one before training."""
    torch.manual_seed(seed)
    first = task.build()
    scores = {0: _validate(task, first)}
    for size in SIZES:
        net = task.build()
        net.load_state_dict(first.state_dict())
        optimizer = task.optimizer(net.parameters(), lr=scaled_lr(task.lr, OWN, size, task.rule))
        found, spent, batches = [], 0.0, _batches(task, size)
        for point in range(1, POINTS + 1):
            start = time.process_time() - spent
            while time.process_time() - start < seconds * point / POINTS:
                x, y = next(batches)
                optimizer.zero_grad()
                task.loss(net(x), y).backward()
                optimizer.step()
            spent = time.process_time() - start
            found.append(_validate(task, net))
        scores[size] = statistics.fmean(found[-max(1, POINTS // 3) :])
    return scores


def _batches(task: Task, size: int) -> Any:
    while True:
        yield from DataLoader(TensorDataset(*task.train), size, shuffle=True)


def _validate(task: Task, net: nn.Module) -> float:
    net.eval()
    with torch.no_grad():
        score = float(task.loss(net(task.val[0]), task.val[1]))
    net.train()
    return score


def search(task: Task, budget: float, seed: int) -> BatchSizeResult:
    """Let `find_batch_size` look."""
    torch.manual_seed(seed)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1,
    )  # fmt: skip
    train = DataLoader(TensorDataset(*task.train), OWN, shuffle=True)
    val = DataLoader(TensorDataset(*task.val), 512)
    return find_batch_size(
        Learner(task), train, val_dataloaders=val, sizes=SIZES, budget=budget, lr_rule=task.rule, trainer=trainer
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the sizes and how often they agree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=float, default=3.0, help="seconds of a search, all sizes together")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--long", type=float, help="seconds of one long run at each size, instead of many seeds")
    parser.add_argument("--task", type=int, choices=range(3), help="only this one")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    batch_size_search.perf_counter = time.process_time
    for place, task in enumerate(tasks()):
        if args.task in (None, place):
            compare(task, args.budget, args.seeds, args.long, args.plot and args.plot / f"batch_size_{place}.png")


def compare(task: Task, budget: float, seeds: int, long: float | None, plot: Path | None) -> None:
    """Search with several seeds, then train exhaustively."""
    begin = time.process_time()
    results = [search(task, budget, seed) for seed in range(seeds)]
    spent = (time.process_time() - begin) / seeds
    if plot:
        results[0].plot().savefig(plot)
    seconds = statistics.fmean(result.seconds for result in results)
    repeats = 1 if long else math.ceil(TIMES * spent / (len(SIZES) * seconds))
    begin = time.process_time()
    runs = [exhaustive(task, long or seconds, 1000 + repeat) for repeat in range(repeats)]
    whole = time.process_time() - begin
    scores = {size: statistics.fmean(run[size] for run in runs) for size in runs[0]}
    truth = choose_batch_size(scores.pop(0), scores)
    found = [result.suggestion or 0 for result in results]
    agree = sum(0.5 <= size / (truth.size or 1) <= 2 for size in found)
    print(
        f"{task.name}: exhaustive {truth.size} ({repeats} seeds, {long or seconds:.2g} s at each size): {truth.reason}"
    )
    print("  " + ", ".join(f"{size}: {score:.4g}" for size, score in scores.items()))
    print(f"  find_batch_size {found}: {agree} of {seeds} within a factor of two, {spent / whole:.3f} of the time")


if __name__ == "__main__":
    main()
