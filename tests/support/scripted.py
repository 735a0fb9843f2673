"""A tiny module whose scores are written beforehand, logged in whatever way people log them."""

import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torchmetrics
from tiny import Net, trainer


class Scripted(Net):
    """Log the next of ``scores`` once a validation run, or once a training epoch.

    Args:
        scores: the scores, the last one for ever after.
        where: ``validation_step``, ``on_validation_epoch_end``, ``training_step``, ``on_train_epoch_end``, or
            ``torchmetrics`` (a metric object, in the validation step).
        by_rank: each rank adds its number times this to the score.
    """

    def __init__(
        self, scores: Iterable[float], where: str = "validation_step", by_rank: float = 0.0, **log: Any
    ) -> None:
        super().__init__()
        self.scores = list(scores)
        self.where, self.by_rank, self.arguments = where, by_rank, log
        self.checks = 0
        self.metric = torchmetrics.MeanMetric()
        self.seen: list[dict[str, torch.Tensor]] = []

    def score(self) -> float:
        value = self.scores[min(self.checks, len(self.scores) - 1)]
        return value + self.by_rank * self.trainer.global_rank

    def say(self, where: str, name: str = "score") -> None:
        if where != self.where or self.trainer.sanity_checking:
            return
        if where == "torchmetrics":
            self.metric.update(self.score())
            self.log(name, self.metric)
        else:
            arguments = {"on_step": False, "on_epoch": True} if where == "training_step" else {}
            self.log(name, self.score(), **{**arguments, **self.arguments})

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.say("training_step")
        return self.loss(batch)

    def on_train_epoch_end(self) -> None:
        self.say("on_train_epoch_end")
        if self.where in ("training_step", "on_train_epoch_end"):
            self.checks += 1

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), sync_dist=True)
        self.say("validation_step")
        self.say("torchmetrics")

    def on_validation_epoch_end(self) -> None:
        self.say("on_validation_epoch_end")

    def on_validation_end(self) -> None:  # after all callbacks
        if not self.trainer.sanity_checking and self.where not in ("training_step", "on_train_epoch_end"):
            self.checks += 1


def fit_scripted(net: Scripted, *callbacks: Any, **arguments: Any) -> Any:
    """Fit for as long as the callbacks let it, a check a batch, and return the Trainer."""
    few = {"max_epochs": 400, "limit_train_batches": 1, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    runner = trainer(*callbacks, **{**few, **arguments})
    runner.fit(net)
    return runner


def endless(*first: float) -> list[float]:
    """Scores that end in one for ever, nine."""
    return list(itertools.chain(first, [9.0]))
