"""Warm-up, stable, decay: a constant learning rate that falls in the last part of the run (WSD)."""

from lightning_tricks.callbacks.lr_schedule import NamedSchedule
from lightning_tricks.core.durations import Duration
from lightning_tricks.functional.schedule_phases import DecayForm
from lightning_tricks.functional.schedules import Schedule, warmup_stable_decay


class WarmupStableDecay(NamedSchedule):
    """Keep the learning rate constant, then decay it in the last part of the run (WSD, the trapezoid).

    Use when: the run may be extended: continue from a checkpoint of the constant phase with a larger ``total``, where a
    cosine would start again; or as an alternative to the cosine (Hägele et al. 2024).

    Where it acts: as :class:`LRSchedule`, before each optimizer step.

    Interacts with: as :class:`LRSchedule`; every other LR callback multiplies.

    Args:
        decay: length of the decay at the end, a Duration > 0, at most ``total``; typically ``"0.1dur"`` to
            ``"0.2dur"`` (Hägele et al. 2024).
        total: the time at which the decay ends, a Duration > 0; ``"1dur"`` is the end of the run.
        form: shape of the decay: ``"linear"``, ``"cosine"`` or ``"sqrt"`` (1 - sqrt(x)).
        end_factor: the multiplier at the end and after it, in ``[0, 1]``; typically 0 to 0.1.
        warmup, warmup_start, log_factors, replace_scheduler, name: as :class:`LRSchedule`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range, or ``decay`` is longer than ``total``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import WarmupStableDecay
        >>> trainer = Trainer(max_epochs=10, callbacks=[WarmupStableDecay("0.2dur", warmup="0.05dur")])

        With Hydra: ``tricks=[warmup_stable_decay] tricks.warmup_stable_decay.form=sqrt``

    See :func:`lightning_tricks.functional.schedules.warmup_stable_decay` for the mathematics.
    """

    pure = staticmethod(warmup_stable_decay)
    lengths = ("decay", "total")

    def __init__(
        self,
        decay: Duration = "0.2dur",
        *,
        total: Duration = "1dur",
        form: DecayForm = "linear",
        end_factor: float = 0.0,
        warmup: Duration = 0,
        warmup_start: float = 0.0,
        log_factors: bool = False,
        replace_scheduler: bool = False,
        name: str | None = None,
    ) -> None:
        self.decay = decay
        self.total = total
        self.form = form
        self.end_factor = end_factor
        self._init_common(warmup, warmup_start, log_factors, replace_scheduler, name)

    def make(self, measured: dict[str, float]) -> Schedule:
        """Return the pure schedule, whose length of the decay has another name."""
        total, decay = measured["total"], measured["decay"]
        if decay > total:
            raise ValueError(f"`decay`={self.decay!r} must be at most `total`={self.total!r}.")
        return warmup_stable_decay(total, decay, self.form, self.end_factor)
