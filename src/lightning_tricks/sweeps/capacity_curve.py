"""Capacity curve: the score over the sizes of a capacity sweep, with mean and spread over seeds, as text and figure."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from lightning_tricks.core.text_table import align
from lightning_tricks.reports.curves import new_figure
from lightning_tricks.sweeps.sweep_rows import SweepRows
from lightning_tricks.sweeps.sweep_values import Value


@dataclass(frozen=True)
class SizePoint:
    """One size of a capacity sweep.

    Attributes:
        values: the values of the keys that grow.
        scores: the best value of the metric for each seed that has one.
    """

    values: tuple[Value, ...]
    scores: list[float]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return fmean(self.scores)

    @property
    def spread(self) -> float:
        """The sample standard deviation over seeds; 0 for a single seed."""
        return stdev(self.scores) if len(self.scores) > 1 else 0.0


def size_points(sweep: SweepRows) -> list[SizePoint]:
    """Return the sizes with a score, in the order in which they were tried."""
    found: dict[tuple[Value, ...], list[float]] = {}
    for row in sweep.rows:
        if row.best is not None:
            found.setdefault(tuple(row.values.get(key) for key in sweep.grown), []).append(row.best)
    return [SizePoint(values, scores) for values, scores in found.items()]


def describe_sizes(sweep: SweepRows) -> list[str]:
    """Return one line per size: its values, mean and spread of the metric, and seeds."""
    points = size_points(sweep)
    head = [*sweep.grown, f"mean {sweep.metric}", "spread", "seeds"]
    lines = [
        [*map(str, point.values), f"{point.mean:.4g}", f"{point.spread:.2g}", str(len(point.scores))]
        for point in points
    ]
    return align([head, *lines])


def plot_sizes(sweep: SweepRows, title: str = "") -> Any:
    """Draw mean and spread of the metric over the sizes in the order they were tried, with a dot per seed.

    Args:
        sweep: the result of :func:`~lightning_tricks.sweeps.sweep_rows.read_rows`; at least one job has the metric.
        title: title of the figure.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
    """
    points = size_points(sweep)
    choose = min if sweep.mode == "min" else max
    best = choose(range(len(points)), key=lambda place: points[place].mean)
    figure = new_figure((max(5.0, 1.1 * len(points) + 2), 4.0))
    axes = figure.subplots()
    for place, point in enumerate(points):
        axes.plot([place] * len(point.scores), point.scores, ".", color="0.6")
    places = range(len(points))
    axes.errorbar(places, [point.mean for point in points], [point.spread for point in points], marker="o", capsize=4)
    axes.plot([best], [points[best].mean], "o", color="C3", markersize=9, label="best mean", zorder=3)
    axes.set_xticks(list(places), ["\n".join(map(str, point.values)) for point in points])
    axes.set_xlabel(", ".join(sweep.grown))
    axes.set_ylabel(sweep.metric)
    axes.set_title(title or "score over capacity, with the spread over seeds", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure
