"""Random search and grid search with the same budget: learning rate × momentum × width of a small CNN on digits.

The grid has three values per axis, evenly spaced on the same scales, and is shifted at random in each repetition. The
result of a search is the lowest of its 27 validation losses. Usage: python examples/random_or_grid.py [FOLDER]
"""

import random
import sys
from itertools import product
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

from digits import CNN, Digits
from lightning_tricks.reports.curves import new_figure
from lightning_tricks.sweeps.search_space import Interval, Trial, draw_trials

SPACE = {
    "lr": Interval(1e-3, 10.0, "log"),
    "momentum": Interval(0.5, 0.99, "log1m"),
    "width": Interval(4, 16, "log", whole=True),
}
GUESS = 2.303  # log(10)
LINEAR = {name: Interval(axis.low, axis.high, whole=axis.whole) for name, axis in SPACE.items()}


def grid(side: int, seed: int) -> list[Trial]:
    shifts = draw_trials(dict.fromkeys(SPACE, Interval(0, 1)), 1, seed)[0]
    axes = [[axis.value((i + shifts[name]) / side) for i in range(side)] for name, axis in SPACE.items()]
    return random.Random(seed).sample([dict(zip(SPACE, values, strict=True)) for values in product(*axes)], side**3)


SEARCHES = {
    "grid": grid,
    "random, linear scales": lambda side, seed: draw_trials(LINEAR, side**3, seed),
    "random": lambda side, seed: draw_trials(SPACE, side**3, seed),
    "Sobol": lambda side, seed: draw_trials(SPACE, side**3, seed, "sobol"),
}


def train(trial: Trial, data: Digits, seed: int) -> float:
    """Return the validation loss after forty steps, at most that of a uniform guess (also if it is not finite)."""
    torch.manual_seed(seed)
    net = CNN(width=trial["width"]).net
    optimizer = torch.optim.SGD(net.parameters(), trial["lr"], trial["momentum"])
    x, y = data.train.tensors
    for rows in torch.randint(len(x), (40, 32)):
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        loss = float(F.cross_entropy(net.eval()(data.val.tensors[0]), data.val.tensors[1]))
    return loss if loss < GUESS else GUESS


def main(folder: str = "outputs", repetitions: int = 20, side: int = 3) -> dict[str, list[list[float]]]:
    """Repeat each search; print the medians of the best losses; plot them over the number of trainings."""
    Path(folder).mkdir(exist_ok=True)
    (data := Digits()).setup("fit")
    runs: dict[str, list[list[float]]] = {name: [] for name in SEARCHES}
    for seed, (name, search) in product(range(repetitions), SEARCHES.items()):
        losses = [train(trial, data, seed) for trial in search(side, seed)]
        runs[name].append([min(losses[: i + 1]) for i in range(len(losses))])
    axes = new_figure((7, 4.2)).subplots(subplot_kw={"yscale": "log", "xlabel": "trainings", "ylabel": "best val loss"})
    for name, found in runs.items():
        wins = sum(mine[-1] < other[-1] for mine, other in zip(found, runs["grid"], strict=True))
        last = median(run[-1] for run in found)
        print(f"{name:<22} median of the best {last:.4f}   better than the grid in {wins} of {repetitions}")
        axes.plot(range(1, side**3 + 1), list(map(median, zip(*found, strict=True))), label=f"{name}: {last:.3f}")
    axes.set_title(f"Lowest validation loss so far of {side**3} trainings on digits, by search", fontsize=10)
    axes.legend(title=f"median of {repetitions} searches", fontsize=9, frameon=False)
    axes.figure.savefig(Path(folder) / "random_or_grid.png")
    return runs


if __name__ == "__main__":
    main(*sys.argv[1:])
