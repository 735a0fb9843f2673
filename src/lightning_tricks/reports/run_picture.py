"""Run picture: the losses and learning rates of a run as one figure, if matplotlib is installed."""

import math
from typing import Any

from lightning_tricks.reports.curves import plot_curves
from lightning_tricks.reports.run_data import RunData
from lightning_tricks.reports.series import Series


def draw_curves(record: RunData) -> Any | None:
    """Return the matplotlib figure; ``None`` without matplotlib or without a loss."""
    losses = {name: _points(series) for name, series in record.metrics.items() if "loss" in name and series.points}
    if not losses:
        return None
    rates = {f"lr-{name}": _points(series) for name, series in record.lrs.items() if series.points}
    factors = {name: _points(series) for name, series in record.factors.items() if series.points and "/" in name}
    named = {name.replace("/", " "): points for name, points in losses.items()}
    try:
        return plot_curves({**named, **rates, **factors}, title=record.sentence().replace("$", r"\$"))
    except ModuleNotFoundError:
        return None


def _points(series: Series) -> list[tuple[int, float]]:
    values = [math.nan if value is None else value for value in series.values]
    return list(zip(series.steps, values, strict=True))
