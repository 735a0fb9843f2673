"""Sweep plots: parallel coordinates of all parameters, and the metric over each parameter."""

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from lightning_tricks.reports.curves import new_figure
from lightning_tricks.sweeps.sweep_importance import shown_importances
from lightning_tricks.sweeps.sweep_rows import SweepRows
from lightning_tricks.sweeps.sweep_values import Value, as_numbers

_COLUMNS = 3
_INCHES = 1.3
"""Width of a column of the parallel coordinates."""
_LETTERS = 14
"""Letters of a label that fit into a column."""
_WIDE = 10.0
_FEW_DECADES = 300.0
_SCALES: dict[str, Callable[[float], float]] = {
    "linear": float,
    "log": math.log10,
    "log1m": lambda value: -math.log10(1 - value),
}


def plot_rows(sweep: SweepRows, title: str = "") -> Any:
    """Draw the jobs with a finite metric; better jobs are darker.

    At the top, each job is a line through its values and its metric; below, the metric is drawn over each parameter,
    the most important first. A parameter has the scale on which it was sampled; the metric has a log scale if it spans
    a decade.

    Args:
        sweep: the result of :func:`~lightning_tricks.sweeps.sweep_rows.read_rows`; at least one job has the metric.
        title: title of the figure.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
    """
    strengths = {importance.key: importance.strength for importance in shown_importances(sweep)}
    keys = sorted(sweep.keys, key=lambda key: -strengths.get(key, 0.0))
    count = max(1, math.ceil(len(keys) / _COLUMNS))
    figure = new_figure((max(9.0, _INCHES * (len(keys) + 1)), 3.3 + 2.6 * count))
    above, below = figure.subfigures(2, 1, height_ratios=[3.3, 2.6 * count])
    rows = [row for row in sweep.ranked() if row.best is not None]
    colors = _colors(len(rows))
    bests = [row.best for row in rows if row.best is not None]
    is_wide = min(bests) > 0 and max(bests) / min(bests) > _WIDE
    columns: dict[str, Sequence[Value]] = {key: [row.values.get(key) for row in rows] for key in keys}

    scales = {**sweep.scales, sweep.metric: "log" if is_wide else "linear"}
    _draw_parallel(above.subplots(), {**columns, sweep.metric: bests}, scales, colors)
    panels = below.subplots(count, max(1, math.ceil(len(keys) / count)), squeeze=False, sharey=True)
    for axes, key in zip(panels.flat, keys, strict=False):
        _draw_scatter(axes, columns[key], bests, sweep.scales.get(key, ""), colors)
        label = f"{key}\nimportance {strengths[key]:.2f}" if key in strengths else key
        axes.set_xlabel(label, fontsize=9)
        if is_wide:
            axes.set_yscale("log")
    for axes in panels[:, 0]:
        axes.set_ylabel(sweep.metric, fontsize=9)
    for axes in list(panels.flat)[len(keys) :]:
        axes.set_visible(False)
    best = f"best {bests[0]:.4g} (job {rows[0].job})"
    figure.suptitle(title or f"{sweep.metric} of {len(rows)} jobs: {best}; the darker, the better", fontsize=10)
    return figure


def _colors(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["viridis"](0.95 * place / max(1, count - 1)) for place in range(count)]


def _draw_parallel(
    axes: Any, columns: dict[str, Sequence[Value]], scales: dict[str, str], colors: Sequence[Any]
) -> None:
    heights = {}
    for x, (name, values) in enumerate(columns.items()):
        places, labels = _places(values, scales.get(name, ""))
        low, high = min(places), max(places)
        heights[name] = [(place - low) / (high - low) if high > low else 0.5 for place in places]
        axes.axvline(x, color="0.6", linewidth=0.8, zorder=0)
        shown = dict(zip(heights[name], labels, strict=True))
        ends = shown if len(shown) <= 6 else {height: shown[height] for height in (0.0, 1.0)}
        for height, label in ends.items():
            style = {"fontsize": 8, "va": "center", "backgroundcolor": (1, 1, 1, 0.7)}
            axes.annotate(label, (x, height), xytext=(5, 0), textcoords="offset points", **style)
    for i in reversed(range(len(colors))):  # draw the best on top
        width = 2.4 if i == 0 else 1.0
        axes.plot([heights[name][i] for name in columns], color=colors[i], linewidth=width)
    names = ["\n".join(textwrap.wrap(re.sub(r"([._/])", r"\1 ", name), _LETTERS)) for name in columns]
    axes.set_xticks(range(len(columns)), [re.sub(r"([._/]) ", r"\1", name) for name in names], fontsize=9)
    axes.set_xlim(-0.1, len(columns) - 0.6)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_scatter(
    axes: Any, values: Sequence[Value], bests: Sequence[float], scale: str, colors: Sequence[Any]
) -> None:
    numbers = as_numbers(values)
    if numbers is None:
        places, labels = _places(values, scale)
        axes.set_xticks(*zip(*dict(zip(places, labels, strict=True)).items(), strict=True), fontsize=7)
        if max(map(len, labels)) * len(set(labels)) > 2 * _LETTERS:
            axes.tick_params("x", rotation=20)
            axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), ha="right", fontsize=7)
        axes.margins(x=0.2)
    else:
        places = [1 - number for number in numbers] if scale == "log1m" else numbers
        if scale in ("log", "log1m"):
            _log_axis(axes, max(places) / min(places))
        if scale == "log1m":
            axes.invert_xaxis()
            axes.xaxis.set_major_formatter(lambda distance, _: f"{1 - distance:.6g}")
    axes.scatter(places, bests, c=colors, s=26, zorder=3)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def _log_axis(axes: Any, ratio: float) -> None:
    """Label 1, 2 and 5 of each decade if there are few decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if ratio < _FEW_DECADES:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")


def _places(values: Sequence[Value], scale: str) -> tuple[list[float], list[str]]:
    """Return the positions and labels of values on their scale; strings are placed in alphabetical order."""
    numbers = as_numbers(values)
    if numbers is not None:
        return [_SCALES.get(scale, float)(number) for number in numbers], [f"{number:.3g}" for number in numbers]
    labels = ["not given" if value is None else str(value) for value in values]
    order = sorted(set(labels))
    short = dict(zip(order, shorten(order), strict=True))
    return [float(order.index(label)) for label in labels], [short[label] for label in labels]


def shorten(texts: Sequence[str], limit: int = _LETTERS) -> list[str]:
    """Return texts of at most so many letters that are still distinct; the texts themselves where that cannot be had.

    Example:
        >>> shorten(["project.models.ResNet18", "project.models.MLP", ""])
        ['ResNet18', 'MLP', 'none']
        >>> shorten(["data_with_long_name_a", "data_with_long_name_b"])
        ['…_long_name_a', '…_long_name_b']
    """
    given = [text or "none" for text in texts]
    last = [re.split(r"[./]", text)[-1] or text for text in given]
    parts = last if len(set(last)) == len(set(given)) and max(map(len, given)) > limit else given
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: text,
        lambda text: text if len(text) < limit else f"{text[: limit - 2]}…",
        lambda text: text if len(text) < limit else f"…{text[2 - limit :]}",
    )
    found = [[way(text) for text in parts] for way in ways]
    fitting = (short for short in found if len(set(short)) == len(set(given)) and max(map(len, short)) <= limit)
    return next(fitting, given)
