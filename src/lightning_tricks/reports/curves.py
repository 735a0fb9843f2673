"""Curves: read the file of a CSVLogger, and draw losses and the learning rate with its factors."""

import csv
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning_tricks.core.result_names import is_result

Series = list[tuple[int, float]]
"""Pairs of the Trainer's step number and a value."""


def read_metrics(path: str | Path) -> dict[str, Series]:
    """Read the ``metrics.csv`` of Lightning's CSVLogger.

    Args:
        path: the file.

    Returns:
        For each column, the steps at which it was logged and the values.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    series: dict[str, Series] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    series.setdefault(name, []).append((int(row["step"]), float(value)))
    return series


def plot_curves(metrics: Mapping[str, Series], path: str | Path | None = None, *, title: str = "") -> Any:
    """Draw the losses and, below them, the learning rate and its factors over optimizer steps.

    Args:
        metrics: series by name: names with ``loss`` are losses, ``lr-`` learning rates (LearningRateMonitor), and
            ``<callback>/<factor>`` factors (``log_factors=True``).
        path: where to save the figure; ``None``: it is not saved.
        title: title of the figure.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
    """
    figure = new_figure((9, 6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw(above, {name: values for name, values in metrics.items() if "loss" in name and "/" not in name})
    above.set_yscale("log")
    above.set_ylabel("loss")
    above.set_title(textwrap.fill(title, 95), fontsize=11)
    rates = {name: values for name, values in metrics.items() if name.startswith("lr-")}
    factors = {
        name: values
        for name, values in metrics.items()
        if "/" in name and not name.startswith("lr-") and not is_result(name)
    }
    _draw(below, rates, colors=["black", "0.4", "0.6"], linewidth=2)  # the colors of losses mean losses alone
    below.set_ylabel("learning rate")
    below.set_xlabel("optimizer step")
    if factors:
        right = below.twinx()
        _draw(right, factors, linestyle="--", linewidth=1, colors=["tab:green", "tab:red", "tab:purple", "tab:brown"])
        right.set_ylabel("factor")
        right.set_ylim(-0.05, 1.1)
    above.legend(loc="upper right", fontsize=8)
    _legend_below(below, *([right] if factors else []))
    if path is not None:
        figure.savefig(path)
    return figure


def new_figure(size: tuple[float, float]) -> Any:
    """Return an empty :class:`matplotlib.figure.Figure` of this size in inches, which notebooks display.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
    """
    try:
        import matplotlib.figure  # noqa: F401 -- the next import may be remembered from before

        from lightning_tricks.reports.shown_figure import ShownFigure
    except ModuleNotFoundError as error:
        message = "Drawing needs matplotlib, which is not installed: pip install 'lightning-tricks[plot]'."
        raise ModuleNotFoundError(message) from error
    return ShownFigure(figsize=size, layout="constrained", dpi=110)


def _draw(axes: Any, series: Mapping[str, Series], colors: Iterable[str | None] = (), **style: Any) -> None:
    palette = [*colors, *[None] * len(series)]
    for (name, values), color in zip(series.items(), palette, strict=False):
        if values:
            steps, heights = zip(*values, strict=True)
            axes.plot(steps, heights, label=_short(name), color=color, **style)
    axes.grid(alpha=0.3)


def _short(name: str) -> str:
    """Shorten a factor's name for the legend, by removing the part that distinguishes callbacks of a class."""
    return re.sub(r"\[.*\]", "", name)


def _legend_below(axes: Any, *others: Any) -> None:
    """Draw one legend for axes that share a frame."""
    handles = [found for panel in (axes, *others) for found in panel.get_legend_handles_labels()[0]]
    if handles:
        axes.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2, fontsize=8, frameon=False
        )
