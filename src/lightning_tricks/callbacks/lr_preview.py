"""LR preview: compute the learning rates that callbacks will produce, before training."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_tricks.core.arguments import check_number, check_whole
from lightning_tricks.core.durations import Moment, RunLength
from lightning_tricks.engine.lr.lr_contributor import contributor_of
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.functional.learning_rates import Factor, multiply
from lightning_tricks.reports.lr_curves import describe_lr, plot_lr
from lightning_tricks.reports.text_and_figure import text_and_figure


@dataclass(frozen=True, repr=False)
class LRPreview(Sequence[float]):
    """The learning rate of each optimizer step of a run; a sequence of floats that can be printed and drawn.

    Attributes:
        lrs: the learning rate that each step will use.
        epochs: the time before each step, in epochs.
        factors: the multipliers of each step as ``<callback>/<factor>``; ``lrs`` is their product times the base.
        unforeseen: the LR callbacks whose factors are known only during the run, such as a plateau rule; they count as
            1.
    """

    lrs: list[float]
    epochs: list[float]
    factors: dict[str, list[float]]
    unforeseen: list[str]

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        return self.lrs[index]

    def __len__(self) -> int:
        return len(self.lrs)

    def __str__(self) -> str:
        return describe_lr(self.lrs, self.factors, self.unforeseen)

    def __repr__(self) -> str:
        ends = f"{self.lrs[0]:.4g} -> {self.lrs[-1]:.4g}, highest {max(self.lrs):.4g}"
        return f"LRPreview({len(self)} steps, lr {ends})"

    def _repr_html_(self) -> str:
        return text_and_figure(str(self), self.plot, "learning rate over epochs")

    def plot(self) -> Any:
        """Return a matplotlib ``Figure``: the rate above, each changing factor in a separate panel below it."""
        return plot_lr(self.epochs, self.lrs, self.factors, self.unforeseen)

    def rows(self) -> list[dict[str, float]]:
        """Return one row per step: ``step``, ``epoch``, ``lr`` and each factor."""
        columns = {"step": range(len(self)), "epoch": self.epochs, "lr": self.lrs, **self.factors}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def preview_lr(callbacks: Iterable[object], epochs: int, steps_per_epoch: int, *, lr: float = 1.0) -> LRPreview:
    """Compute the learning rates that a Trainer with these callbacks would use, without a Trainer.

    The factors come from the callbacks' own code, so the run will use the same values. Factors that are known only
    during the run (a plateau rule, a finder, live control, layer multipliers) count as 1 and are listed.

    Args:
        callbacks: a Trainer's list; those that do not change learning rates are ignored.
        epochs: the ``max_epochs`` of the run, >= 1.
        steps_per_epoch: optimizer steps in an epoch, >= 1: batches divided by ``accumulate_grad_batches``, rounded up.
        lr: the base learning rate, with which the optimizer is built.

    Returns:
        The learning rate of each of the ``epochs * steps_per_epoch`` steps, and its factors.

    Raises:
        ValueError: an argument is out of range, or a length cannot be measured on this run.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: two callbacks cannot be distinguished.

    Example:
        >>> from lightning_tricks import CosineDecay
        >>> preview = preview_lr([CosineDecay(warmup=1)], epochs=4, steps_per_epoch=2, lr=0.1)
        >>> [round(lr, 3) for lr in preview]
        [0.0, 0.048, 0.085, 0.069, 0.05, 0.031, 0.015, 0.004]
        >>> print(preview)
        lr                   ▁▅█▇▅▃▂▁  first 0, highest 0.08536 (step 2), last 0.003806
        CosineDecay/schedule ██▇▆▅▃▂▁  first 1, highest 1 (step 0), last 0.03806
        CosineDecay/warmup   ▁▅██████  first 0, highest 1 (step 2), last 1
    """
    epochs, steps_per_epoch = check_whole("epochs", epochs, 1), check_whole("steps_per_epoch", steps_per_epoch, 1)
    base = check_number("lr", lr, 0)
    tricks = [callback for callback in callbacks if isinstance(callback, Trick) and contributor_of(callback)]
    keys = [trick.state_key for trick in tricks]
    for trick in tricks:
        if keys.count(trick.state_key) > 1:
            raise MisconfigurationException(trick.same_key_message())
    writers = [writer for trick in tricks if (writer := contributor_of(trick))]
    # on a copy, so that the callback itself does not change
    known = {writer.state_key: copy.copy(writer) for writer in writers if writer.follows_clock}
    for writer in known.values():
        writer.prepare(RunLength(epochs, None), steps_per_epoch)
    lrs, times, columns = [], [], dict[str, list[float]]()
    for step in range(epochs * steps_per_epoch):
        moment = Moment(step // steps_per_epoch, step % steps_per_epoch, steps_per_epoch, step)
        now: list[Factor] = []
        for key, writer in known.items():
            for name, factor in writer.factors_at(moment, 0).items():
                now.append(factor)
                columns.setdefault(f"{key}/{name}", []).append(multiply([factor]))
        lrs.append(base * multiply(now))
        times.append(moment.time("ep"))
    return LRPreview(lrs, times, columns, [key for key in keys if key not in known])
