"""Piecewise constant: factors that each apply from one fixed time to the next."""

from collections.abc import Callable, Sequence

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_list
from lightning_tricks.core.durations import Duration, RunLength, Unit, placeholder_lengths
from lightning_tricks.functional.schedules import Schedule, piecewise_constant


class PiecewiseConstant(NamedSchedule):
    """Change the learning rate at fixed times, to given multiples of the base.

    Use when: a recipe gives the epochs at which the rate is divided (He et al. 2016: by 10, twice).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        boundaries: the times of change, increasing Durations > 0 in one unit. The new factor applies from the boundary
            on.
        factors: the multipliers between them, >= 0, one more than ``boundaries``; multiples of the base, not of the
            previous piece.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, the number of factors is wrong, or boundaries are out of order or in
            different units.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import PiecewiseConstant
        >>> trainer = Trainer(max_epochs=30, callbacks=[PiecewiseConstant([10, 20], [1, 0.1, 0.01])])

        With Hydra: ``tricks=[piecewise_constant] tricks.piecewise_constant.boundaries=[10,20]
        tricks.piecewise_constant.factors=[1,0.1,0.01]``

    See :func:`lightning_tricks.functional.schedules.piecewise_constant` for the mathematics.
    """

    pure = staticmethod(piecewise_constant)

    def __init__(
        self,
        boundaries: Sequence[Duration],
        factors: Sequence[float],
        *,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.boundaries: list[Duration] = check_list("boundaries", boundaries)
        self.factors: list[float] = check_list("factors", factors)
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def plan(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the schedule with its boundaries measured, and their clock."""
        try:
            return super().plan(run)
        except ValueError:  # the order may differ in the single epoch of a dry run
            if self._run is None or not self._run.is_dry:
                raise
            return self.make(placeholder_lengths(self.durations())), "ep"

    def durations(self) -> dict[str, Duration]:
        """Return the boundaries by their positions."""
        return {f"boundaries[{place}]": boundary for place, boundary in enumerate(self.boundaries)}

    def make(self, measured: dict[str, float]) -> Schedule:
        """Return the pure schedule for measured boundaries."""
        return piecewise_constant(list(measured.values()), self.factors)
