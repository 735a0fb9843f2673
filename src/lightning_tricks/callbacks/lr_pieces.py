"""LR pieces: a named schedule out of a table, constant between fixed times."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_list
from lightning_tricks.core.durations import Duration, RunLength, Unit, placeholder_lengths
from lightning_tricks.functional.schedules import Schedule, piecewise_constant


class PiecewiseConstant(NamedSchedule):
    """Change the learning rate at fixed times, to given multiples of the base.

    Use when: a recipe says at which epochs the rate is divided (He et al. 2016: by 10, twice).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        boundaries: the times of change, rising Durations > 0 on one clock. The new factor holds from the boundary on.
        factors: the multipliers between them, >= 0, one more than ``boundaries``; multiples of the base, not of the
            piece before.
        warmup: length of a linear warm-up that multiplies the schedule and does not shift it, a Duration.
        warmup_start: the multiplier at the first step of the warm-up, in ``[0, 1]``.
        log_factors: log each factor as ``<callback>/<factor>``, every ``log_every_n_steps``.
        replace_scheduler: drop the scheduler that the module returns instead of refusing the module.
        name: tells two callbacks of this class apart, in checkpoints and logs.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, a wrong number of factors, boundaries out of order or on two clocks.

    Example:
        >>> from lightning_tricks import PiecewiseConstant
        >>> trainer = Trainer(max_epochs=30, callbacks=[PiecewiseConstant([10, 20], [1, 0.1, 0.01])])

        With Hydra: ``tricks=[piecewise_constant] tricks.piecewise_constant.boundaries=[10,20]
        tricks.piecewise_constant.factors=[1,0.1,0.01]``

    See :func:`lightning_tricks.functional.schedules.piecewise_constant` for the mathematics.
    """

    form = staticmethod(piecewise_constant)

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
        self.piece_factors: list[float] = check_list("factors", factors)
        self._dry = False
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note a ``fast_dev_run``, whose single epoch puts shares and lengths in another order than the true run."""
        super().setup(trainer, pl_module, stage)
        self._dry = bool(trainer.fast_dev_run)  # type: ignore[attr-defined]

    def plan(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return the schedule with its boundaries measured, and their clock."""
        try:
            return super().plan(run)
        except ValueError:
            if not self._dry:
                raise
            return self.make(placeholder_lengths(self.durations())), "ep"

    def settings(self) -> dict[str, Any]:
        """Return the arguments; ``factors`` is the name of a method here, so the list goes by another."""
        return {**super().settings(), "factors": list(self.piece_factors)}

    def durations(self) -> dict[str, Duration]:
        """Return the boundaries by their places."""
        return {f"boundaries[{place}]": boundary for place, boundary in enumerate(self.boundaries)}

    def make(self, measured: dict[str, float]) -> Schedule:
        """Return the pure schedule for boundaries that are measured."""
        return piecewise_constant(list(measured.values()), self.piece_factors)
