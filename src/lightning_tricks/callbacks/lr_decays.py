"""LR decays: named schedules that fall, by a rate, a root or a power of the time."""

from collections.abc import Callable
from typing import Literal

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_choice
from lightning_tricks.core.durations import Duration, RunLength, Unit
from lightning_tricks.functional.schedules import (
    exponential_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    polynomial_decay,
)


class ExponentialDecay(NamedSchedule):
    """Multiply the learning rate by the same number after each epoch, or any other time.

    Use when: the rate shall fall steadily, by so many percent an epoch; with ``staircase`` in steps (halved every
    10 epochs).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_rate: the multiplier after ``decay_steps``, > 0; customary 0.9 to 0.99 an epoch.
        decay_steps: the time in which the rate falls by ``decay_rate``, a Duration > 0; 1 is an epoch.
        staircase: fall in steps at the multiples of ``decay_steps`` instead of at each optimizer step.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration.
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of refusing the module.
        name: tells two callbacks of this class apart, in checkpoints and logs.

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

    form = staticmethod(exponential_decay)
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


class InverseTimeDecay(NamedSchedule):
    """Divide the learning rate by 1 + decay_rate × epochs.

    Use when: a slow tail is wanted, as stochastic approximation asks for (Robbins & Monro 1951).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_rate: after ``decay_steps / decay_rate`` half of the rate is left, >= 0; customary 0.01 to 1 an epoch.
        decay_steps: the time that ``decay_rate`` counts, a Duration > 0; 1 is an epoch.
        staircase: fall in steps at the multiples of ``decay_steps`` instead of at each optimizer step.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration.
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of refusing the module.
        name: tells two callbacks of this class apart, in checkpoints and logs.

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

    form = staticmethod(inverse_time_decay)
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


class InverseSqrtDecay(NamedSchedule):
    """Divide the learning rate by the square root of the epochs, or of the optimizer steps.

    Use when: the length of the run is open and the rate shall never quite vanish; with a warm-up, as for Transformers.

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        k: the multiplier at the start, > 0; customary 1.
        unit: what is counted, ``"ep"`` epochs or ``"st"`` optimizer steps, each from 1.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration.
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of refusing the module.
        name: tells two callbacks of this class apart, in checkpoints and logs.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import InverseSqrtDecay
        >>> trainer = Trainer(max_epochs=30, callbacks=[InverseSqrtDecay(unit="st", warmup="500st")])

        With Hydra: ``tricks=[inverse_sqrt_decay] tricks.inverse_sqrt_decay.unit=st``

    See :func:`lightning_tricks.functional.schedules.inverse_sqrt_decay` for the mathematics.
    """

    form = staticmethod(inverse_sqrt_decay)

    def __init__(
        self,
        k: float = 1.0,
        *,
        unit: Literal["ep", "st"] = "ep",
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        check_choice("unit", unit, ("ep", "st"))
        self.k = k
        self.unit = unit
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def plan(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the schedule and the clock that was asked for."""
        return self.make({}), self.unit


class PolynomialDecay(NamedSchedule):
    """Let the learning rate fall along a straight line, or a power of the time that is left.

    Use when: the length of the run is known and the end shall be reached in a line (power 1), or early (above 1).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay_steps: time of the whole fall, a Duration > 0; ``"1dur"`` is the run.
        end_factor: the multiplier at the end and after it, in ``[0, 1]``; customary 0 to 0.1.
        power: > 0; 1 is a straight line, 0.9 segmentation's custom, 2 falls fast at first.
        cycle: after ``decay_steps`` rise again, to ever lower peaks, instead of staying at the end.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration.
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of refusing the module.
        name: tells two callbacks of this class apart, in checkpoints and logs.

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

    form = staticmethod(polynomial_decay)
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
