"""Cosine warm restarts: half a cosine, restarted at its peak (SGDR)."""

from collections.abc import Callable

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.arguments import check_flag
from lightning_tricks.core.durations import Duration, RunLength, Unit, measure_together, parse_duration
from lightning_tricks.functional.schedule_cycles import in_each_cycle
from lightning_tricks.functional.schedules import cosine_warm_restarts, linear_warmup


class CosineWarmRestarts(NamedSchedule):
    """Decay the learning rate along half a cosine and restart it at its peak, repeatedly.

    Use when: the length of the run is not fixed, or the best of several cycles is selected (SGDR; fast.ai's first
    lessons).

    Where it acts: as :class:`LRSchedule`, before each optimizer step. The first step of a cycle uses exactly its peak.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        t_0: length of the first cycle, a Duration > 0; typically 1 to 10 epochs.
        t_mult: ratio of each cycle's length to the previous one's, > 0; typically 1 or 2; may be fractional. Below 1
            the cycles end at ``t_0 / (1 - t_mult)``.
        end_factor: the multiplier that each cycle falls to, in ``[0, 1]``; a peak is never lower than this.
        peak_decay: cycle i peaks at ``peak_decay ** i``, in ``(0, 1]``; typically 1 or 0.5 to 0.9.
        warmup_each_cycle: warm up after each restart, not only at the start; ``warmup`` must then have the unit of
            ``t_0``.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, or ``warmup_each_cycle`` with two clocks.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import CosineWarmRestarts
        >>> trainer = Trainer(max_epochs=30, callbacks=[CosineWarmRestarts(t_0=2, t_mult=2, warmup="100st")])

        With Hydra: ``tricks=[cosine_warm_restarts] tricks.cosine_warm_restarts.t_0=5``

    See :func:`lightning_tricks.functional.schedules.cosine_warm_restarts` for the mathematics.
    """

    pure = staticmethod(cosine_warm_restarts)
    lengths = ("t_0",)
    checklist_roles = ("schedule", "restarts")

    def __init__(
        self,
        t_0: Duration = 10,
        *,
        t_mult: float = 1.0,
        end_factor: float = 0.0,
        peak_decay: float = 1.0,
        warmup_each_cycle: bool = False,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.t_0 = t_0
        self.t_mult = t_mult
        self.end_factor = end_factor
        self.peak_decay = peak_decay
        self.warmup_each_cycle = check_flag("warmup_each_cycle", warmup_each_cycle)
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)
        if warmup_each_cycle and "dur" not in (parse_duration(t_0).unit, parse_duration(warmup).unit):
            measure_together(RunLength(None, None), t_0=t_0, warmup=warmup)

    def plan_warmup(self, run: RunLength) -> tuple[Callable[[float], float], Unit]:
        """Return one warm-up, or one for each cycle."""
        if not self.warmup_each_cycle:
            return super().plan_warmup(run)
        lengths, unit = measure_together(run, t_0=self.t_0, warmup=self.warmup)
        warmup = linear_warmup(lengths["warmup"], self.warmup_start)
        return in_each_cycle(warmup, lengths["t_0"], self.t_mult), unit
