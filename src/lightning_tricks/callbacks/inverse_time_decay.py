"""Inverse time decay: divide by one plus a multiple of the time."""

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.durations import Duration
from lightning_tricks.functional.schedules import inverse_time_decay


class InverseTimeDecay(NamedSchedule):
    """Divide the learning rate by 1 + decay_rate × epochs.

    Use when: a slow decay is needed, as in stochastic approximation (Robbins & Monro 1951).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_rate: the rate is halved after ``decay_steps / decay_rate``, >= 0; typically 0.01 to 1 per epoch.
        decay_steps: the time unit of ``decay_rate``, a Duration > 0; 1 is an epoch.
        staircase: decay in steps at multiples of ``decay_steps`` instead of at each optimizer step.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import InverseTimeDecay
        >>> trainer = Trainer(max_epochs=30, callbacks=[InverseTimeDecay(0.1)])

        With Hydra: ``tricks=[inverse_time_decay] tricks.inverse_time_decay.decay_rate=0.1``

    See :func:`lightning_tricks.functional.schedules.inverse_time_decay` for the mathematics.
    """

    pure = staticmethod(inverse_time_decay)
    lengths = ("decay_steps",)

    def __init__(
        self,
        decay_rate: float = 1.0,
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
