"""Run plan: what the tricks of a run will do and when, as plain facts that can be compared before the first step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lightning_tricks.core.durations import RunLength, Unit
from lightning_tricks.functional.rate_curve import SampledCycles
from lightning_tricks.functional.schedule_shape import Cycles

_ROUNDING = 1e-9
_SAMPLES = 200


@dataclass(frozen=True)
class Span:
    """A length of time in epochs and in optimizer steps; ``None`` on a clock on which it is unknown.

    Example:
        >>> str(Span(10.0, 500.0)), str(Span(0.25, 500.0)), str(Span(None, 1.0))
        ('10 epochs', '500 steps', '1 step')
        >>> Span(2.0).is_shorter_than(Span(3.0, 90.0)), Span(2.0).is_shorter_than(Span(None, 90.0))
        (True, False)
    """

    epochs: float | None = None
    steps: float | None = None

    def times(self, factor: float) -> "Span":
        """Return a multiple of the span."""
        return Span(*(None if amount is None else amount * factor for amount in (self.epochs, self.steps)))

    def plus(self, other: "Span") -> "Span":
        """Return the sum of two spans, on the clocks on which both are known."""
        pairs = ((self.epochs, other.epochs), (self.steps, other.steps))
        return Span(*(None if a is None or b is None else a + b for a, b in pairs))

    def ratio_to(self, other: "Span") -> float | None:
        """Return how many times this span contains another; ``None`` if they share no clock."""
        pairs = ((self.epochs, other.epochs), (self.steps, other.steps))
        return next((a / b for a, b in pairs if a is not None and b and b < math.inf), None)

    def is_shorter_than(self, other: "Span") -> bool:
        """Return whether it is shorter, by more than rounding; False if the two share no clock."""
        pairs = ((self.epochs, other.epochs), (self.steps, other.steps))
        known = next(((a, b) for a, b in pairs if a is not None and b is not None), (0.0, 0.0))
        return known[0] < known[1] * (1 - _ROUNDING)

    def __str__(self) -> str:
        if self.epochs is not None and (self.epochs >= 1 or self.steps is None):
            return f"{self.epochs:.4g} epoch{'s' * (self.epochs != 1)}"
        steps = self.steps if self.steps is not None else math.nan
        return f"{steps:.4g} step{'s' * (steps != 1)}"


START = Span(0.0, 0.0)


@dataclass(frozen=True)
class Pace:
    """How long a run is, and how many optimizer steps an epoch has.

    Attributes:
        length: what bounds the run.
        steps_per_epoch: ``None`` if unknown, or if the steps of an optimizer are counted separately.
    """

    length: RunLength
    steps_per_epoch: int | None = None

    def span(self, amount: float, unit: Unit) -> Span:
        """Return a length that is given on one clock."""
        each = self.steps_per_epoch
        if unit == "ep":
            return Span(amount, None if each is None else amount * each)
        return Span(None if each is None else amount / each, amount)

    @property
    def end(self) -> Span:
        """The length of the run, infinite if nothing bounds it."""
        if self.length.epochs is not None:
            return self.span(self.length.epochs, "ep")
        return Span(math.inf, math.inf) if self.length.steps is None else self.span(self.length.steps, "st")

    def end_on(self, unit: Unit) -> float | None:
        """Return the end of the run on a clock; ``None`` if it is unknown or infinite."""
        end = self.end.epochs if unit == "ep" else self.end.steps
        return end if end is not None and 0 < end < math.inf else None


@dataclass(frozen=True)
class PatientRule:
    """A rule that acts after a number of checks without a better score.

    Attributes:
        name: the callback as a call, for messages.
        watched: the metric and the mode.
        patience: the number of checks; 0 acts like 1.
        action: what it does then.
        interval: time between two checks.
        start: earlier checks do not count.
        reductions: of a rule that reduces: the number of reductions down to its floor, if it stops there.
        key: the name of the callback in a checkpoint; ``None`` for one of Lightning's.
        has_usual_patience: whether the patience is the default.
        restores_best: whether it restores the weights of its best check.
    """

    name: str
    watched: tuple[str, str]
    patience: int
    action: Literal["stop", "reduce"]
    interval: Span
    start: Span = START
    reductions: int | None = None
    key: str | None = None
    has_usual_patience: bool = False
    restores_best: bool = False

    @property
    def checks(self) -> int:
        """The number of checks without a better score after which it acts."""
        return max(self.patience, 1)

    @property
    def waits(self) -> Span:
        """The time without a better score after which it acts."""
        return self.interval.times(self.checks)

    @property
    def earliest(self) -> Span:
        """The earliest time at which it can act: the first check that counts has the best score."""
        return self._first.plus(self.waits)

    @property
    def earliest_floor(self) -> Span:
        """The earliest time at which it can have made all its reductions."""
        return self._first.plus(self.waits.times(self.reductions or 0))

    @property
    def _first(self) -> Span:
        return self.interval if self.start.is_shorter_than(self.interval) else self.start


@dataclass(frozen=True)
class RatePlan:
    """The learning rate that a schedule will produce.

    Attributes:
        name: the callback or the module's scheduler, for messages.
        unit: the clock of the schedule.
        multiplier: the schedule; ``None`` for a function of the user's, which is not called ahead of time.
        warmup: length of the warm-up.
        cycles: its restarts.
        fall_end: the time at which a single fall ends.
        is_trick: whether a callback of the library produces it, whose lengths may be Durations.
    """

    name: str
    unit: Unit
    multiplier: Callable[[float], float] | None = None
    warmup: Span = START
    cycles: Cycles | SampledCycles | None = None
    fall_end: float | None = None
    is_trick: bool = True

    @property
    def whole_run(self) -> str:
        """How to give it the length of the run, as a remark for messages."""
        return ' ("1dur")' if self.is_trick else ""

    def samples(self, end: float | None) -> list[float]:
        """Return multipliers at equal distances, from the start of the run to just before its end.

        The list is empty if the end or the schedule is unknown, or if the schedule has no finite peak.
        """
        if self.multiplier is None or end is None:
            return []
        values = [self.multiplier(end * i / _SAMPLES) for i in range(_SAMPLES)] + [self.last(end)]
        return values if 0 < max(values) < math.inf else []

    def last(self, end: float) -> float:
        """Return the multiplier just before the end of the run, which may be a restart."""
        assert self.multiplier is not None
        return self.multiplier(end * (1 - _ROUNDING))


@dataclass(frozen=True)
class ThawStages:
    """Stages in which layers are unfrozen.

    Attributes:
        name: the callback, for messages.
        longest: the longest stage, or the warm-up after one if that is longer.
    """

    name: str
    longest: Span


@dataclass(frozen=True)
class RateSearch:
    """Epochs at whose start a learning rate is searched for.

    Attributes:
        name: the callback, for messages.
        epochs: the epochs.
        done: the epochs that have been searched, in this run or before its checkpoint.
        current: the first epoch of this fit.
    """

    name: str
    epochs: tuple[int, ...]
    done: tuple[int, ...]
    current: int


Fact = PatientRule | RatePlan | ThawStages | RateSearch
