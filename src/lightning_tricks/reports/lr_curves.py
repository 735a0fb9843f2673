"""LR curves: learning rates and their factors as lines of text and as figures, from plain numbers."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from textwrap import fill
from typing import Any

from lightning_tricks.reports.curves import new_figure

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Draw numbers >= 0 as one line of bars, from 0 to the highest; ``?`` for non-finite numbers.

    If the standard output cannot encode the bars (ASCII, cp1252), plain characters replace them.

    Args:
        values: one bar each, or means of neighbors if there are more than ``width``.
        width: maximum number of bars, >= 1.

    Example:
        >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7])
        '▁▂▃▄▅▆▇█'
        >>> sparkline(range(1000), width=8)
        '▁▂▃▄▅▆▇█'
    """
    count = min(len(values), width)
    edges = [place * len(values) // max(count, 1) for place in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max((mean for mean in means if math.isfinite(mean)), default=0)
    bars = _bars_for(getattr(sys.stdout, "encoding", None) or "utf-8")
    return "".join(_bar(mean, top, bars) for mean in means)


def _bars_for(encoding: str) -> str:
    try:
        _BARS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _ASCII_BARS
    return _BARS


def _bar(mean: float, top: float, bars: str) -> str:
    if not math.isfinite(mean):
        return "?"
    height = int(max(mean, 0) / top * len(bars)) if top > 0 else 0
    return bars[min(height, len(bars) - 1)]


def describe_lr(
    lrs: Sequence[float], factors: Mapping[str, Sequence[float]], unforeseen: Sequence[str] = (), width: int = 40
) -> str:
    """Return a line with a sparkline and corner values for the learning rate and for each of several factors.

    Example:
        >>> print(describe_lr([0.1, 0.05], {"ExponentialDecay/schedule": [1.0, 0.5]}, ["ReduceLROnPlateau"]))
        lr █▅  first 0.1, highest 0.1 (step 0), last 0.05
        ReduceLROnPlateau is known only during the run; it counts as 1 here.
    """
    rows = {"lr": lrs, **factors_to_plot(factors)}
    name_width = max(map(len, rows))
    lines = []
    for name, values in rows.items():
        highest = max(values)
        corners = (
            f"first {values[0]:.4g}, highest {highest:.4g} (step {list(values).index(highest)}), last {values[-1]:.4g}"
        )
        lines.append(f"{name:<{name_width}} {sparkline(values, width)}  {corners}")
    lines += [f"{name} is known only during the run; it counts as 1 here." for name in unforeseen]
    return "\n".join(lines)


def plot_lr(
    epochs: Sequence[float],
    lrs: Sequence[float],
    factors: Mapping[str, Sequence[float]],
    unforeseen: Sequence[str] = (),
) -> Any:
    """Return a ``Figure`` with the learning rate and, below it, a panel for each factor if there are several."""
    shown = factors_to_plot(factors)
    figure = new_figure((8, 2.6 + 1.25 * len(shown)))
    heights = [2.2] + [1.0] * len(shown)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    panels[0].plot(epochs, lrs, color="black", linewidth=1.6)
    panels[0].set_ylabel("learning rate")
    path = f"{len(lrs)} steps: first {lrs[0]:.3g}, highest {max(lrs):.3g}, last {lrs[-1]:.3g}"
    note = f"\nknown only during the run, counts as 1: {', '.join(unforeseen)}" if unforeseen else ""
    panels[0].set_title(f"Learning rate over {path}{note}", fontsize=9, loc="left")
    for place, (panel, (name, values)) in enumerate(zip(panels[1:], shown.items(), strict=True)):
        panel.plot(epochs, values, color=f"C{place}", linewidth=1.4)
        panel.set_title(f"× {name}", fontsize=9, loc="left")
    for panel in panels:
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("epoch")
    return figure


def factors_to_plot(factors: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Return the factors that change; none if there is only one, whose curve is that of the learning rate."""
    shown = changing_factors(factors)
    return shown if len(shown) > 1 else {}


def changing_factors(factors: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Return the factors that are not always 1, such as a warm-up of length 0."""
    return {name: values for name, values in factors.items() if any(value != 1 for value in values)}


def plot_gallery(
    curves: Mapping[str, Callable[[float], float]], end: float, columns: int = 4, points: int = 800
) -> Any:
    """Return a ``Figure`` with one panel per function of time, drawn from 0 until just before ``end``.

    Args:
        curves: functions by the title of their panel.
        end: the last time.
        columns: panels per row.
        points: number of times at which each function is evaluated.
    """
    rows = -(-len(curves) // columns)
    figure = new_figure((2.6 * columns, 1.8 * rows))
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    times = [end * place / points for place in range(points)]
    for place, (panel, (title, curve)) in enumerate(zip(panels, curves.items(), strict=False)):
        panel.plot(times, [curve(t) for t in times], color=f"C{place % 10}", linewidth=1.6)
        panel.set_title(fill(title, 31, break_long_words=False), fontsize=8)
        panel.set_xlim(0, end)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    figure.supxlabel(f"time, from 0 to {end:g}", fontsize=9)
    figure.supylabel("multiplier of the learning rate", fontsize=9)
    return figure
