"""Polynomial decay: linear, or a power of the remaining time."""

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.durations import Duration
from lightning_tricks.functional.schedules import polynomial_decay


class PolynomialDecay(NamedSchedule):
    """Decay the learning rate linearly or with a power of the remaining time.

    Use when: the length of the run is known and the rate should decay linearly (power 1), or mostly early (above 1).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_steps: length of the decay, a Duration > 0; ``"1dur"`` is the run.
        end_factor: the multiplier at the end and after it, in ``[0, 1]``; typically 0 to 0.1.
        power: > 0; 1 is linear, 0.9 is common in segmentation, 2 decays fast at first.
        cycle: restart after each ``decay_steps``, at lower and lower peaks, instead of staying at the end.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import PolynomialDecay
        >>> trainer = Trainer(max_epochs=30, callbacks=[PolynomialDecay(end_factor=0.01, power=0.9)])

        With Hydra: ``tricks=[polynomial_decay] tricks.polynomial_decay.power=0.9``

    See :func:`lightning_tricks.functional.schedules.polynomial_decay` for the mathematics.
    """

    pure = staticmethod(polynomial_decay)
    lengths = ("decay_steps",)

    def __init__(
        self,
        decay_steps: Duration = "1dur",
        *,
        end_factor: float = 0.0,
        power: float = 1.0,
        cycle: bool = False,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.decay_steps = decay_steps
        self.end_factor = end_factor
        self.power = power
        self.cycle = cycle
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)
