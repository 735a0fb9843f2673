"""Series: values over optimizer steps, thinned to a bounded length while keeping extremes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_POINTS = 400
"""Minimum number of points kept in a longer series; at most twice as many are kept."""


@dataclass(frozen=True)
class Series:
    """Values over optimizer steps.

    Attributes:
        steps: the steps, increasing.
        values: one per step; ``None`` if the value is not finite.

    Example:
        >>> series = extend(Series(), [(0, 1.0), (1, float("nan")), (2, 0.5)])
        >>> series.values, series.last, series.lowest
        ((1.0, None, 0.5), 0.5, (2, 0.5))
    """

    steps: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()

    @property
    def points(self) -> list[tuple[int, float]]:
        """The steps with finite values, and these values."""
        return [(step, value) for step, value in zip(self.steps, self.values, strict=True) if value is not None]

    @property
    def last(self) -> float | None:
        """The last value; ``None`` if it is not finite or there is none."""
        return self.values[-1] if self.values else None

    @property
    def lowest(self) -> tuple[int, float] | None:
        """Step and value of the lowest finite value."""
        return min(self.points, key=lambda point: point[1], default=None)


def extend(series: Series, points: Iterable[tuple[int, float | None]]) -> Series:
    """Return the series with more points appended, thinned if it grows beyond twice ``MAX_POINTS``.

    Of several points at one step, for instance if a metric is read twice, the last one counts.
    """
    steps, values = list(series.steps), list(series.values)
    for step, value in points:
        if steps and steps[-1] == int(step):
            values[-1] = finite(value)
        else:
            steps.append(int(step))
            values.append(finite(value))
    longer = Series(tuple(steps), tuple(values))
    return thin(longer, MAX_POINTS) if len(steps) > 2 * MAX_POINTS else longer


def thin(series: Series, count: int) -> Series:
    """Return at most about ``count`` points: the first, the last, and the lowest and highest of each section.

    A non-finite value counts as an extreme: the first one of each section is kept.

    Args:
        series: any series.
        count: number of points to keep, >= 4.

    Example:
        >>> spike = Series(tuple(range(1000)), (*[0.0] * 500, 9.0, *[0.0] * 499))
        >>> kept = thin(spike, 20)
        >>> len(kept.steps) <= 20, max(kept.values), kept.steps[0], kept.steps[-1]
        (True, 9.0, 0, 999)
    """
    total = len(series.steps)
    if total <= count:
        return series
    stretches = max(1, (count - 2) // 3)
    kept = {0, total - 1}
    for number in range(stretches):
        places = range(number * total // stretches, (number + 1) * total // stretches)
        kept.update(_extremes(series.values, places))
    order = sorted(kept)
    return Series(tuple(series.steps[i] for i in order), tuple(series.values[i] for i in order))


def _extremes(values: Sequence[float | None], places: range) -> list[int]:
    known = [(value, place) for place in places if (value := values[place]) is not None]
    missing = [place for place in places if values[place] is None][:1]
    return [*(pick(known)[1] for pick in (min, max) if known), *missing]


def finite(value: float | None) -> float | None:
    """Return a value rounded to seven digits, the precision of float32; ``None`` if it is not finite."""
    return float(f"{value:.7g}") if value is not None and math.isfinite(value) else None
