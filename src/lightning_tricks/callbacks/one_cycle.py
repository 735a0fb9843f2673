"""One cycle: the learning rate up and down once, the momentum down and up."""

from torch.optim import Optimizer

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_flag, check_number
from lightning_tricks.core.durations import Duration, Moment, RunLength, Unit, measure_together
from lightning_tricks.engine.run.run import Run
from lightning_tricks.functional.momentum import has_momentum, write_momentum_
from lightning_tricks.functional.schedule_cycles import one_cycle_momentum
from lightning_tricks.functional.schedules import Schedule, one_cycle


class OneCycle(NamedSchedule):
    """Raise the learning rate to its base once, then decay it far below the start; the momentum moves the opposite way.

    Use when: the length of the run is known and short; the base rate can then be the highest that still trains, several
    times that of a constant rate (Smith & Topin 2018).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies; only this one changes the momentum:
    ``momentum`` in SGD and RMSprop, the first of ``betas`` in the Adam family. A group built without momentum
    (``momentum=0``) keeps none. Like the rate, the momentum follows the clock, also in a resumed run, and keeps its
    last value when the fit ends.

    Args:
        total: length of the cycle, a Duration > 0; ``"1dur"`` is the run.
        pct_start: fraction of the cycle in which the rate rises, in ``[0, 1)``; typically 0.25 to 0.45.
        div_factor: ratio of the peak (the base rate) to the start, >= 1; typically 10 to 25.
        final_div_factor: ratio of the start to the end, > 0; typically 1e2 to 1e5.
        cycle_momentum: also cycle the momentum.
        base_momentum: the momentum at the peak of the rate, in ``[0, max_momentum]``.
        max_momentum: the momentum at both ends, in ``[0, 1)``.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import OneCycle
        >>> trainer = Trainer(max_epochs=10, callbacks=[OneCycle(pct_start=0.25)])

        With Hydra: ``tricks=[one_cycle] tricks.one_cycle.pct_start=0.25``

    See :func:`lightning_tricks.functional.schedules.one_cycle` for the mathematics.
    """

    pure = staticmethod(one_cycle)
    lengths = ("total",)

    def __init__(
        self,
        total: Duration = "1dur",
        *,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.total = total
        self.pct_start = pct_start
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.cycle_momentum = check_flag("cycle_momentum", cycle_momentum)
        self.max_momentum = check_number("max_momentum", max_momentum, 0, 1, high_open=True)
        self.base_momentum = check_number("base_momentum", base_momentum, 0, self.max_momentum)
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def prepare(self, run: RunLength, steps_per_epoch: int | None) -> None:
        """Measure the cycle, also for the momentum."""
        super().prepare(run, steps_per_epoch)
        measured, unit = measure_together(run, total=self.total)
        momentum = one_cycle_momentum(measured["total"], self.pct_start, self.base_momentum, self.max_momentum)
        self._momentum: tuple[Schedule, Unit] = (momentum, unit)

    def begin_fit(self, run: Run) -> None:
        """Record which groups were built with a momentum; in a resumed run it may be 0 later."""
        super().begin_fit(run)
        self.optimizers_replaced(run)

    def optimizers_replaced(self, run: Run) -> None:
        self._cycled = [[has_momentum(group) for group in optimizer.param_groups] for optimizer in run.optimizers]

    def write_along(self, optimizer: Optimizer, index: int, moment: Moment) -> None:
        """Write the momentum of the step after ``moment``."""
        if not self.cycle_momentum:
            return
        schedule, unit = self._momentum
        value = schedule(moment.time(unit))
        cycled = self._cycled[index]
        cycled += [has_momentum(group) for group in optimizer.param_groups[len(cycled) :]]
        for group, has in zip(optimizer.param_groups, cycled, strict=True):
            if has:
                write_momentum_(group, value)
