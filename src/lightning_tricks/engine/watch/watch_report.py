"""Watch report: say in one line how a run ended, and hand its outcome to whoever started it in another process."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from lightning.pytorch import Trainer

from lightning_tricks.engine.run.trick import Trick, callbacks_of


class Reporter(Protocol):
    """What the closing line needs of a watcher."""

    @property
    def stopping_reason_message(self) -> str | None: ...

    def describe_best(self) -> str: ...

    def restores_best(self) -> bool: ...

    def summary_sentences(self) -> list[str]: ...


def closing_line(trainer: Trainer, watchers: Iterable[Reporter], interrupted: bool) -> str:
    """Say what stopped the run, the best scores and where, and the path of the learning rate."""
    watchers = list(watchers)
    stoppers = dict.fromkeys([*watchers, *callbacks_of(trainer, Trick)])  # LiveControl stops too
    found = [(type(stopper).__name__, getattr(stopper, "stopping_reason_message", None)) for stopper in stoppers]
    reasons = [f"{name}: {reason}" for name, reason in found if reason]
    if interrupted:
        cause = "interrupted"
    elif reasons:
        cause = "stopped by " + ", ".join(reasons)
    elif trainer.max_steps >= 0 and trainer.global_step >= trainer.max_steps:
        cause = f"ended at max_steps={trainer.max_steps}"
    elif trainer.should_stop:
        cause = "stopped by somebody else"
    else:
        cause = f"ended at max_epochs={trainer.max_epochs}"
    bests: dict[str, bool] = {}
    for watcher in watchers:
        bests[watcher.describe_best()] = bests.get(watcher.describe_best(), False) or watcher.restores_best()
    sentences = [f"{best}{', put back' if back else ''}." for best, back in bests.items()]
    sentences += [sentence for watcher in watchers for sentence in watcher.summary_sentences()]
    return f"Training {cause} (epoch {trainer.current_epoch}, step {trainer.global_step}). {' '.join(sentences)}"


def publish(trainer: Trainer, key: str, outcome: Mapping[str, float]) -> None:
    """Put the outcome among the Trainer's metrics, which come back from spawned and forked processes."""
    for name, value in outcome.items():
        trainer.callback_metrics[f"{key}/{name}"] = torch.tensor(float(value), dtype=torch.float64)


def short(value: float) -> str:
    """Write a rate with two digits, as people do.

    Example:
        >>> short(0.01), short(9.765625e-06), short(1.0)
        ('1e-2', '9.8e-6', '1')
    """
    mantissa, exponent = f"{value:.1e}".split("e")
    mantissa = mantissa.removesuffix(".0")
    return mantissa if int(exponent) == 0 else f"{mantissa}e{int(exponent)}"
