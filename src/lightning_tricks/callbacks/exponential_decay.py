"""Exponential decay: the same factor after each epoch."""

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.durations import Duration
from lightning_tricks.functional.schedules import exponential_decay


class ExponentialDecay(NamedSchedule):
    """Multiply the learning rate by a constant after each epoch or any other interval.

    Use when: the rate should decay steadily, by a fixed percentage per epoch; with ``staircase`` in steps (halved every
    10 epochs).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_rate: the multiplier after ``decay_steps``, > 0; typically 0.9 to 0.99 per epoch.
        decay_steps: the time after which the rate is multiplied by ``decay_rate``, a Duration > 0; 1 is an epoch.
        staircase: decay in steps at multiples of ``decay_steps`` instead of at each optimizer step.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import ExponentialDecay
        >>> trainer = Trainer(max_epochs=30, callbacks=[ExponentialDecay(0.5, decay_steps=10, staircase=True)])

        With Hydra: ``tricks=[exponential_decay] tricks.exponential_decay.decay_rate=0.9``

    See :func:`lightning_tricks.functional.schedules.exponential_decay` for the mathematics.
    """

    pure = staticmethod(exponential_decay)
    lengths = ("decay_steps",)

    def __init__(
        self,
        decay_rate: float = 0.95,
        *,
        decay_steps: Duration = 1,
        staircase: bool = False,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.decay_rate = decay_rate
        self.decay_steps = decay_steps
        self.staircase = staircase
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)
