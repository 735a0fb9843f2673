"""Draw the pictures of docs/guide/sizes.md: python examples/size_gallery.py [docs/pictures] [60s] [30]."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics import Accuracy

from digits import CNN, Digits, Learner
from lightning_tricks import NoiseScale, find_batch_size, gradient_noise_scale
from lightning_tricks.reports.curves import new_figure
from lightning_tricks.sweeps.capacity import Growth, Size
from lightning_tricks.sweeps.capacity_curve import plot_sizes
from lightning_tricks.sweeps.sweep_rows import Row, SweepRows

SEEDS = (0, 1, 2)


def perceptron(size: Size) -> Learner:
    """Return a classifier of digits with so many units in so many hidden layers."""
    widths = [64, *[size.units] * (size.layers or 1)]
    hidden = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(size.units, 10))
    metric = Accuracy("multiclass", num_classes=10)
    return Learner(net, F.cross_entropy, metric, "accuracy", 0.003, optimizer=lambda p: torch.optim.Adam(p, 0.003))


def trainer(epochs: int) -> L.Trainer:
    """Return a silent Trainer on the CPU."""
    return L.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip


def draw_batch_sizes(file: Path, budget: str) -> None:
    """Draw accuracy against wall time and against rows for each batch size."""
    L.seed_everything(0)
    result = find_batch_size(
        CNN(0.05), datamodule=Digits(), budget=budget, monitor="val_accuracy", mode="max", lr_rule="linear",
        trainer=trainer(1),
    )  # fmt: skip
    print(result)
    result.plot().savefig(file)


def draw_capacity(file: Path, epochs: int) -> None:
    """Draw the validation error of networks that grow, as `lt_sweep=capacity` lets them grow."""
    growth, scores, rows = Growth(4, 256, layers=1, max_layers=4), {}, []
    while (step := growth.next(scores)).size is not None:
        scores[step.size] = [error_of(step.size, seed, epochs) for seed in SEEDS]
        values: Any = {"units": step.size.units, "layers": step.size.layers}
        rows += [Row(len(rows) + i, "completed", values, score) for i, score in enumerate(scores[step.size])]
    print(f"capacity: {step.best}; {step.reason}")
    sweep = SweepRows(Path(), "validation error", "min", rows, {}, [], ["units", "layers"])
    plot_sizes(sweep, "digits, perceptron: error over capacity, with the spread over three seeds").savefig(file)


def error_of(size: Size, seed: int, epochs: int) -> float:
    """Train and return the share of validation images that are classified wrongly."""
    L.seed_everything(seed, verbose=False)
    fit = trainer(epochs)
    fit.fit(perceptron(size), Digits())
    return 1 - float(fit.callback_metrics["val_accuracy"])


def draw_noise_scale(file: Path, epochs: int) -> None:
    """Draw the gradient noise scale during training, with its interval."""
    L.seed_everything(0, verbose=False)
    data, model = Digits(16), perceptron(Size(64, 1))
    data.setup("fit")
    times, found = [0], [gradient_noise_scale(model, data.train_dataloader())]
    for epoch in range(1, epochs + 1):
        trainer(1).fit(model, data)
        if epoch & (epoch - 1) == 0:
            times.append(epoch)
            found.append(gradient_noise_scale(model, data.train_dataloader()))
    print(
        f"noise scale: {', '.join(f'epoch {time}: {each.simple:.3g}' for time, each in zip(times, found, strict=True))}"
    )
    figure = new_figure((6, 3.6))
    axes = figure.subplots()
    draw_intervals(axes, times, found)
    axes.set_xlabel("epochs of training")
    axes.set_ylabel("noise scale in rows")
    axes.grid(alpha=0.3)
    figure.savefig(file)


def draw_intervals(axes: Any, times: list[int], found: list[NoiseScale]) -> None:
    """Draw scales with two standard errors on a logarithmic axis."""
    low = [each.simple - each.low for each in found]
    high = [each.high - each.simple for each in found]
    axes.errorbar(range(len(times)), [each.simple for each in found], [low, high], marker="o", capsize=4)
    axes.set_xticks(range(len(times)), list(map(str, times)))
    axes.set_yscale("log")


def main(folder: str = "docs/pictures", budget: str = "60s", epochs: str = "30") -> None:
    """Draw all pictures."""
    draw_capacity(Path(folder) / "sizes_capacity.png", int(epochs))
    draw_noise_scale(Path(folder) / "sizes_noise_scale.png", int(epochs))
    draw_batch_sizes(Path(folder) / "sizes_batch.png", budget)


if __name__ == "__main__":
    main(*sys.argv[1:])
