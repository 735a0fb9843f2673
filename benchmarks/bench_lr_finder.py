"""What the LR finder's suggestions cost next to its peers': `--all` for every task and length of training.

Regret: the final validation loss after training at the suggested constant rate, divided by that of the best of 12
rates from 1e-5 to 3.16; geometric mean over cells of task, optimizer and finder seed, capped at 100. Losses count from
1e-3 up, for below it nothing is better. A refusal counts 100. The trials of `refine` are judged by the same validation
loss, as in a fit that validates, or by training batches alone. *Raised during the run* is the loss of a training with
the callback, whose rate may rise, in a fit that validates after each epoch; four forms of it were compared on the first
seven tasks. The rule `auto` is derived, not fitted, so there is nothing to leave a task out of.
"""

import contextlib
import functools
import itertools
import logging
import math
import os
import statistics
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.tuner import Tuner

from lightning_tricks import LRFinder, find_lr
from lightning_tricks.functional.sweep_curve import find_divergence, smooth
from lr_tasks import Learner, Task, tasks, train
from measure import report

GRID = [10 ** (-5 + i / 2) for i in range(12)]
KNOWN = ("digits-mlp", "digits-cnn", "breast_cancer-mlp", "diabetes-mlp")
FAST = (*KNOWN, "iris-mlp", "regression-mlp")
ALL = (*FAST, "tokens-bert")
FURTHER = ("wine-mlp", "moons-mlp", "friedman-residual", "digits-lstm")  # the last was never looked at for the rule
BUDGETS = (1, 5, 25)
RAISE_AT = ("0.3dur", "0.4dur", "0.5dur", "0.6dur")


class Cell(NamedTuple):
    """The regret of a method, of one finder seed."""

    task: str
    epochs: int
    optimizer: str
    method: str
    regret: float


@functools.cache
def trained(task: str, optimizer: str, epochs: int, lr: float, seed: int) -> dict[int, float]:
    return train(tasks()[task], optimizer, lr, [budget for budget in BUDGETS if budget <= epochs], seed)


def final_loss(task: str, optimizer: str, epochs: int, lr: float, seeds: int, longest: int) -> float:
    losses = [min(trained(task, optimizer, longest, lr, seed)[epochs], 1e6) for seed in range(seeds)]
    return max(statistics.fmean(losses), 1e-3)


def regret(task: str, optimizer: str, epochs: int, lr: float | None, seeds: int, longest: int) -> float:
    if lr is None or not math.isfinite(lr):
        return 100.0
    loss = final_loss(task, optimizer, epochs, float(f"{lr:.3g}"), seeds, epochs)
    return times_best(loss, task, optimizer, epochs, seeds, longest)


def times_best(loss: float, task: str, optimizer: str, epochs: int, seeds: int, longest: int) -> float:
    best = min(final_loss(task, optimizer, epochs, rate, seeds, longest) for rate in GRID)
    return min(100.0, loss / best)


def raised(name: str, optimizer: str, epochs: int, seed: int) -> float:
    """Train with the callback, which finds the rate before the first step and may raise it later; return the loss."""
    task = tasks()[name]
    learner = Learner(task, optimizer, seed)
    fitting = trainer(epochs, callbacks=[LRFinder(raise_at=RAISE_AT)])
    fitting.fit(learner, task.loader(seed), task.val_loader())
    with torch.no_grad():
        loss = float(task.loss(learner.net.eval()(task.val[0]), task.val[1]))
    return max(loss, 1e-3) if math.isfinite(loss) else 1e6


def trainer(epochs: int = 5, **arguments: Any) -> L.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return L.Trainer(accelerator="cpu", max_epochs=epochs, logger=False, **{**quiet, **arguments})


def ours(task: Task, optimizer: str, epochs: int, seed: int, **arguments: Any) -> Any:
    return find_lr(Learner(task, optimizer, seed), task.loader(seed), trainer=trainer(epochs), **arguments)


def lightnings(task: Task, optimizer: str, epochs: int, seed: int, kind: type[Learner] = Learner) -> float | None:
    """Run Lightning's finder as it is shipped, with room for its hundred steps."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(open(os.devnull, "w")):
        found = Tuner(trainer(100, default_root_dir=folder)).lr_find(kind(task, optimizer, seed), task.loader(seed))
    return found.suggestion() if found else None


def fastais(task: Task, optimizer: str, epochs: int, seed: int) -> dict[str, float | None]:
    """Apply fastai's rules, written out, to a sweep that nothing but a NaN stopped: β .98, stop at 4 × the best."""
    sweep = ours(task, optimizer, epochs, seed, stop_factor=math.inf)
    losses = smooth(sweep.losses, 0.98)
    end = find_divergence(losses, 4.0)
    count = len(losses) if end is None else end + 1
    lrs, losses = sweep.lrs[:count][10:-5], losses[:count][10:-5]
    if len(losses) < 3:
        return {"fastai minimum": None, "fastai valley": None}
    lowest = min(range(len(losses)), key=losses.__getitem__)
    longest = [1] * len(losses)
    for i in range(len(losses)):
        longest[i] = max((longest[j] + 1 for j in range(i) if losses[j] > losses[i]), default=1)
    last = max(range(len(losses)), key=longest.__getitem__)
    first, third = last - longest[last], (longest[last]) // 3
    return {"fastai minimum": lrs[lowest] / 10, "fastai valley": lrs[max(first, 0) + third + third // 2]}


def suggestions(name: str, optimizer: str, epochs: int, seed: int) -> dict[str, float | None]:
    task = tasks()[name]
    return {
        "LRFinder": ours(task, optimizer, epochs, seed).suggestion,
        "refine=50, no validation data": ours(task, optimizer, epochs, seed, refine=50).suggestion,
        "refine=50": ours(task, optimizer, epochs, seed, refine=50, val_dataloaders=task.val_loader()).suggestion,
        "refine=100": ours(task, optimizer, epochs, seed, refine=100, val_dataloaders=task.val_loader()).suggestion,
        "Lightning lr_find": lightnings(task, optimizer, epochs, seed),
        **fastais(task, optimizer, epochs, seed),
    }


def geomean(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def show(title: str, cells: dict[str, list[float]]) -> None:
    for method, values in cells.items():
        report(f"regret, {title}: {method}", f"{geomean(values):.2f}", f"worst {max(values):.1f}, {len(values)} cells")


def cells(name: str, budgets: tuple[int, ...], optimizers: tuple[str, ...], seeds: int) -> list[Cell]:
    """Return the regret of each method in each cell of a task."""
    found = []
    for epochs, optimizer, seed in itertools.product(budgets, optimizers, range(seeds)):
        for method, lr in suggestions(name, optimizer, epochs, seed).items():
            value = regret(name, optimizer, epochs, lr, seeds, max(budgets))
            found.append(Cell(name, epochs, optimizer, method, value))
        value = times_best(raised(name, optimizer, epochs, seed), name, optimizer, epochs, seeds, max(budgets))
        found.append(Cell(name, epochs, optimizer, "LRFinder, raised during the run", value))
    return found


def by_method(found: list[Cell]) -> dict[str, list[float]]:
    methods = dict.fromkeys(cell.method for cell in found)
    return {method: [cell.regret for cell in found if cell.method == method] for method in methods}


def regrets(names: tuple[str, ...], budgets: tuple[int, ...], optimizers: tuple[str, ...], seeds: int) -> None:
    found: list[Cell] = []
    with ProcessPoolExecutor(initializer=be_quiet) as pool:
        for of_task in pool.map(functools.partial(cells, budgets=budgets, optimizers=optimizers, seeds=seeds), names):
            figures = "  ".join(f"{method} {geomean(values):.2f}" for method, values in by_method(of_task).items())
            print(f"  {of_task[0].task:<20}{figures}", flush=True)
            found += of_task
    known = [c for c in found if c.task in KNOWN and c.epochs == 5 and c.optimizer in ("sgd", "adam")]
    show("known cells", by_method(known))
    for epochs in budgets:
        show(f"{epochs} epochs", by_method([cell for cell in found if cell.epochs == epochs]))
    if len(budgets) > 1:
        show("pooled", by_method(found))


def be_quiet() -> None:
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def main(full: bool = False) -> None:
    """Print regrets."""
    if not full:
        regrets(FAST, (5,), ("sgd", "adam"), seeds=3)
        return
    regrets(ALL, BUDGETS, ("sgd", "adamw"), seeds=2)
    print("  further tasks, which nobody asked for")
    regrets(FURTHER, BUDGETS, ("sgd", "adamw"), seeds=2)


if __name__ == "__main__":
    main(full="--all" in sys.argv)
