"""Schedule shape: where a schedule restarts or ends, read from its definition rather than from samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning_tricks.functional.schedule_cycles import find_cycle
from lightning_tricks.functional.schedule_phases import warmup_stable_decay
from lightning_tricks.functional.schedules import (
    Schedule,
    cosine_decay,
    cosine_warm_restarts,
    one_cycle,
    polynomial_decay,
    product,
)

_RESTARTS, _POLYNOMIAL = cosine_warm_restarts(1).rule, polynomial_decay(1).rule
_FALLS = {cosine_decay(1).rule, one_cycle(1).rule, warmup_stable_decay(1, 1).rule, _POLYNOMIAL}
_PRODUCT = product().rule
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Cycles:
    """Cycles that begin with a restart.

    Attributes:
        first: length of the first cycle.
        ratio: ratio of each cycle's length to the previous one's.
    """

    first: float
    ratio: float = 1.0

    def longest_after_restart(self, end: float | None) -> float:
        """Return the length of the longest cycle after the first, as far as it lies in the run; 0 if there is none.

        Args:
            end: the end of the run; ``None`` if unknown or unbounded: only the second cycle counts.

        Example:
            >>> [Cycles(2.0, 2.0).longest_after_restart(end) for end in (2, 5, 30, 31)]
            [0.0, 3.0, 16.0, 16.0]
        """
        if end is None:
            return self.first * self.ratio
        longest, start, length = 0.0, self.first, self.first * self.ratio
        while start < end * (1 - _ROUNDING) and longest < length:
            longest = max(longest, min(length, end - start))
            start, length = start + length, length * self.ratio
        return longest

    def since_restart(self, end: float) -> float:
        """Return the time between the last restart before the end of a run and this end.

        Example:
            >>> [round(Cycles(10, 2).since_restart(end), 6) for end in (10, 11, 30, 42)]
            [10.0, 1.0, 20.0, 12.0]
        """
        found = find_cycle(end * (1 - _ROUNDING), self.first, self.ratio)
        return 0.0 if found is None else found[1] + end * _ROUNDING


def cycles_of(schedule: Callable[[float], float]) -> Cycles | None:
    """Return the restarts of a schedule, also of a product with other schedules; ``None`` if it has none.

    Example:
        >>> cycles_of(product(cosine_warm_restarts(4, 2), cosine_decay(9))), cycles_of(cosine_decay(9))
        (Cycles(first=4, ratio=2.0), None)
    """
    if not isinstance(schedule, Schedule):
        return None
    if schedule.rule is _RESTARTS:
        return Cycles(*schedule.arguments[:2])
    if schedule.rule is _POLYNOMIAL and schedule.arguments[-1]:
        return Cycles(schedule.arguments[0])
    parts = schedule.arguments if schedule.rule is _PRODUCT else ()
    return next((cycles for cycles in map(cycles_of, parts) if cycles is not None), None)


def fall_end_of(schedule: Callable[[float], float]) -> float | None:
    """Return the time at which a single fall ends; ``None`` for a schedule without such a time.

    Example:
        >>> fall_end_of(one_cycle(30)), fall_end_of(cosine_warm_restarts(30))
        (30.0, None)
    """
    if not isinstance(schedule, Schedule):
        return None
    if schedule.rule in _FALLS and cycles_of(schedule) is None:
        return float(schedule.arguments[0])
    parts = [fall_end_of(part) for part in schedule.arguments] if schedule.rule is _PRODUCT else []
    return min((end for end in parts if end is not None), default=None) if cycles_of(schedule) is None else None


def is_pure(schedule: Any) -> bool:
    """Return whether a schedule consists of the library's functions alone, so that it may be evaluated at any time."""
    if not isinstance(schedule, Schedule):
        return not callable(schedule) and not (
            isinstance(schedule, tuple) and any(not is_pure(part) for part in schedule)
        )
    return all(is_pure(argument) for argument in schedule.arguments)


def last_time_above(values: list[float], level: float, end: float) -> float:
    """Return the last time at which equally spaced values exceed a level; 0 if none does.

    Args:
        values: at the times from 0 to ``end``, in equal distances.
        level: the level.
        end: the time of the last value.

    Example:
        >>> last_time_above([1.0, 0.8, 0.2, 0.0], 0.5, end=30)
        10.0
    """
    last = max((i for i, value in enumerate(values) if value > level), default=0)
    return end * last / max(len(values) - 1, 1) if math.isfinite(end) else math.inf
