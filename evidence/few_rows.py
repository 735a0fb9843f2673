"""What each trick for few rows gains on the test rows of four datasets; writes the table of docs/guide/few-rows.md.

Usage: python evidence/few_rows.py          run what few_rows.csv does not hold yet, then write the table
       python evidence/few_rows.py --table  write the table alone
"""

import csv
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from hydra import compose, initialize_config_module
from lightning_tricks import (
    BatchAugment,
    DropoutSchedule,
    EarlyStopping,
    InitializeWeights,
    MixUp,
    NormalizeInputs,
    WeightPenalty,
    instantiate_callbacks,
)
from script import be_quiet, replace_between

FOLDER = Path(__file__).parent
RESULTS, PAGE = FOLDER / "few_rows.csv", FOLDER.parent / "docs" / "guide" / "few-rows.md"
SEEDS, EPOCHS, BATCH_SIZE, LR = 10, 100, 32, 3e-3
PATIENCE = 20


@dataclass(frozen=True)
class Task:
    """A dataset: how it is loaded, how many rows train and how many validate; all others test.

    Attributes:
        load: returns scikit-learn's dataset.
        train: rows; of a classification, of each class.
        val: likewise.
        classes: 0 for a regression.
        shape: of a row; an image has its channel first, so that its pixels share one mean and deviation.
        variants: the names of those that are measured; none: all.
    """

    load: Callable[[], Any]
    train: int
    val: int
    classes: int = 0
    shape: tuple[int, ...] = (-1,)
    variants: tuple[str, ...] = ()


TASKS = {
    "digits": Task(datasets.load_digits, 10, 5, 10),
    "diabetes": Task(lambda: datasets.load_diabetes(scaled=False), 60, 30),
    "breast cancer": Task(datasets.load_breast_cancer, 20, 10, 2),
    "wine": Task(datasets.load_wine, 10, 5, 3),
    "digits as images": Task(
        datasets.load_digits, 10, 5, 10, (1, 8, 8), ("base", "`NormalizeInputs()`", "recipe `few_rows`")
    ),
}

Parts = Callable[[Task], list[L.Callback]]
PARTS: dict[str, Parts] = {
    "`InitializeWeights()`": lambda task: [InitializeWeights()],
    "`WeightPenalty(l2=1e-3)`": lambda task: [WeightPenalty(l2=1e-3)],
    "`DropoutSchedule()`": lambda task: [DropoutSchedule()],
    "`MixUp()`": lambda task: [MixUp(num_classes=task.classes or None)],
    "`BatchAugment(noise)`": lambda task: [BatchAugment(lambda x: x * (1 + 0.1 * torch.randn_like(x)))],
    "`EarlyStopping`": lambda task: [EarlyStopping("val_loss", patience=PATIENCE)],
}
VARIANTS: dict[str, Parts] = {
    "base": lambda task: [],
    "`NormalizeInputs()`": lambda task: [NormalizeInputs()],
    **PARTS,
    **{f"normalized, {name}": lambda task, part=part: [NormalizeInputs(), *part(task)] for name, part in PARTS.items()},
    "recipe `few_rows`": lambda task: recipe(task.classes),
}


def recipe(classes: int) -> list[L.Callback]:
    """Return the callbacks of the packaged recipe, without its report."""
    with initialize_config_module("lightning_tricks.conf", version_base="1.3"):
        config = compose(overrides=["+recipes=few_rows", f"++tricks.mix_up.num_classes={classes or 'null'}"])
    parts = {name: part for name, part in OmegaConf.to_container(config.tricks).items() if name != "run_report"}
    return instantiate_callbacks(OmegaConf.create(parts))


def split(task: Task, seed: int) -> list[TensorDataset]:
    """Return training, validation and test rows; a regression's target is divided by its deviation in training."""
    x, y = (torch.as_tensor(part) for part in (task.load().data, task.load().target))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    groups = [order[y[order] == label] for label in range(task.classes)] or [order]
    ends = (task.train, task.train + task.val)
    parts = [torch.cat(rows) for rows in zip(*(group.tensor_split(ends) for group in groups), strict=True)]
    target = y if task.classes else ((y - y[parts[0]].mean()) / y[parts[0]].std()).float()
    return [TensorDataset(x[rows].float().unflatten(1, task.shape), target[rows]) for rows in parts]


class Learner(L.LightningModule):
    """A perceptron with two hidden layers of 64, trained with Adam; no trick is used in it."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        hidden = [nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        ends = [] if classes else [nn.Flatten(0)]
        self.net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, classes or 1), *ends)
        self.loss: Any = F.cross_entropy if classes else F.mse_loss

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the loss."""
        self.log("val_loss", self.loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the accuracy or R²."""
        outputs, target = self.net(batch[0]), batch[1]
        if target.is_floating_point():
            self.log("score", 1 - (outputs - target).square().sum() / (target - target.mean()).square().sum())
        else:
            self.log("score", (outputs.argmax(1) == target).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=LR)


def test_score(task: Task, variant: str, seed: int) -> float:
    """Fit once and return the accuracy, or R², of all rows that chose nothing."""
    train, val, test = split(task, seed)
    L.seed_everything(seed, verbose=False)
    model, callbacks = Learner(train.tensors[0][0].numel(), task.classes), VARIANTS[variant](task)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=callbacks,
        limit_val_batches=1.0 if any(isinstance(callback, EarlyStopping) for callback in callbacks) else 0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(train, BATCH_SIZE, shuffle=True), DataLoader(val, len(val)))
    return float(trainer.test(model, DataLoader(test, len(test)), verbose=False)[0]["score"])


def known() -> dict[tuple[str, str, int], float]:
    """Return the scores that were measured, by dataset, variant and seed."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as file:
        return {(row["data"], row["variant"], int(row["seed"])): float(row["score"]) for row in csv.DictReader(file)}


def run() -> None:
    """Measure what is not known yet; each score is written as soon as it is there."""
    done = known()
    if not done:
        RESULTS.write_text("data,variant,seed,score\n")
    for seed in range(SEEDS):
        for name, task in TASKS.items():
            for variant in task.variants or VARIANTS:
                if (name, variant, seed) not in done:
                    score = test_score(task, variant, seed)
                    with RESULTS.open("a", newline="") as file:
                        csv.writer(file).writerow([name, variant, seed, f"{score:.5f}"])


def table() -> str:
    """Return the mean and the standard error of the test score, as a table in Markdown."""
    scores = known()
    heads = [f"{name} ({'accuracy' if task.classes else 'R²'})" for name, task in TASKS.items()]
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' --- |' * len(heads)}"]
    for variant in VARIANTS:
        cells = []
        for name in TASKS:
            found = [scores[name, variant, seed] for seed in range(SEEDS) if (name, variant, seed) in scores]
            error = statistics.stdev(found) / len(found) ** 0.5 if found else 0.0
            cells.append(f"{statistics.mean(found):.3f} ± {error:.3f}" if found else "")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write_table() -> None:
    """Put the table between the marks of the page."""
    start, end = "<!-- evidence -->\n", "\n<!-- /evidence -->"
    replace_between(PAGE, start, end, table())


if __name__ == "__main__":
    be_quiet()
    if "--table" not in sys.argv:
        run()
    write_table()
