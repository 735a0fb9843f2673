"""Inverse square-root decay: divide by the square root of the time."""

from collections.abc import Callable
from typing import Literal

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_choice
from lightning_tricks.core.durations import Duration, RunLength, Unit
from lightning_tricks.functional.schedules import inverse_sqrt_decay


class InverseSqrtDecay(NamedSchedule):
    """Divide the learning rate by the square root of the epochs, or of the optimizer steps.

    Use when: the length of the run is not fixed and the rate must not reach zero; with a warm-up, as for Transformers.

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        k: the multiplier at the start, > 0; typically 1.
        unit: ``"ep"`` to count epochs or ``"st"`` to count optimizer steps, both from 1.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

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

    pure = staticmethod(inverse_sqrt_decay)

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
        """Return the schedule and the requested clock."""
        return self.make({}), self.unit
