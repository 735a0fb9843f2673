"""Sweep importance: how strongly the ranking of the jobs depends on each parameter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from lightning_tricks.sweeps.sweep_rows import SweepRows
from lightning_tricks.sweeps.sweep_values import Value, as_numbers

_FEWEST = 4
ENOUGH_JOBS = 8
"""With fewer jobs, an apparent order is usually due to chance, and none is shown."""
_CLEAR = 0.3


@dataclass(frozen=True)
class Importance:
    """The relation between the ranks of a parameter's values and the ranks of the metric.

    Attributes:
        key: the parameter.
        trend: for numbers, Spearman's rank correlation with the metric; positive: the metric rises with the value.
        bend: for numbers, the rank correlation of the metric with the distance from the middle of the tried values;
            positive: the metric is higher at both ends. ``None`` for strings, as is the trend.
        strength: the larger absolute value of the two; for strings, the correlation ratio of the ranks. In [0, 1].
        jobs: the number of jobs.
    """

    key: str
    trend: float | None
    bend: float | None
    strength: float
    jobs: int

    def words(self, mode: str) -> str:
        """Describe where the good values are."""
        if self.strength < _CLEAR:
            return "no clear order"
        if self.trend is None or self.bend is None:
            return "see the table for the best value"
        if abs(self.bend) > abs(self.trend):
            return "best in the middle" if (self.bend > 0) == (mode == "min") else "best at the ends"
        return "lower is better" if (self.trend > 0) == (mode == "min") else "higher is better"


def importances(sweep: SweepRows) -> list[Importance]:
    """Return the importance of each sampled parameter, the largest first.

    Jobs whose metric was never finite count as the worst. With few jobs, strong correlations occur by chance: with 16
    independent jobs, one pair in twenty exceeds 0.5.
    """
    worst = math.inf if sweep.mode == "min" else -math.inf
    found = []
    for key in sweep.keys:
        jobs = [row for row in sweep.rows if (row.best is not None or row.diverged) and row.values.get(key) is not None]
        metric = ranks([worst if row.best is None else row.best for row in jobs])
        values = [row.values[key] for row in jobs]
        if len(jobs) >= _FEWEST and len(set(metric)) > 1 and len(set(values)) > 1:
            found.append(_importance(key, values, metric))
    return sorted(found, key=lambda importance: -importance.strength)


def shown_importances(sweep: SweepRows) -> list[Importance]:
    """Return the importances that are based on enough jobs."""
    return [importance for importance in importances(sweep) if importance.jobs >= ENOUGH_JOBS]


def _importance(key: str, values: Sequence[Value], metric: Sequence[float]) -> Importance:
    numbers = as_numbers(values)
    if numbers is None:
        return Importance(key, None, None, correlation_ratio([str(value) for value in values], metric), len(values))
    places = ranks(numbers)
    trend = correlation(places, metric)
    bend = correlation(ranks([abs(place - mean(places)) for place in places]), metric)
    return Importance(key, trend, bend, max(abs(trend), abs(bend)), len(values))


def ranks(numbers: Sequence[float]) -> list[float]:
    """Return the rank of each number; equal numbers share their mean rank.

    Example:
        >>> ranks([0.3, 0.1, 0.3])
        [2.5, 1.0, 2.5]
    """
    order = sorted(numbers)
    first = {number: i for i, number in reversed(list(enumerate(order, 1)))}
    return [first[number] + (order.count(number) - 1) / 2 for number in numbers]


def correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Pearson's correlation, which is Spearman's for ranks; 0 if one side does not vary.

    Example:
        >>> round(correlation([1, 2, 3], [1, 3, 2]), 6)
        0.5
    """
    a, b = ([value - mean(side) for value in side] for side in (left, right))
    size = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / size if size else 0.0


def correlation_ratio(groups: Sequence[str], numbers: Sequence[float]) -> float:
    """Return the correlation ratio: the root of the share of the variance between groups, in [0, 1].

    Example:
        >>> correlation_ratio(["a", "a", "b", "b"], [1, 1, 2, 2])
        1.0
    """
    center = mean(numbers)
    members = {group: [n for g, n in zip(groups, numbers, strict=True) if g == group] for group in set(groups)}
    between = sum(len(values) * (mean(values) - center) ** 2 for values in members.values())
    return math.sqrt(between / total) if (total := sum((n - center) ** 2 for n in numbers)) else 0.0
