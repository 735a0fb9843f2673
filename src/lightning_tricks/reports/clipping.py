"""Clipping: draw the gradient norm, the norm after clipping, and the non-finite steps."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_tricks.reports.curves import Series, new_figure


def plot_clipping(
    metrics: Mapping[str, Series], path: str | Path | None = None, *, title: str = "", mark: str = ""
) -> Any:
    """Draw norms before and after clipping and the threshold, and below them the share of clipped steps.

    Args:
        metrics: series by name, as logged by a clipping callback with ``log=True`` and read by :func:`read_metrics`.
        path: where to save the figure; ``None``: it is not saved.
        title: title of the figure.
        mark: suffix of the names of the series, if there are several: ``"-optimizer_1"``.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        KeyError: the series do not exist.
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).

    Example:
        >>> norms = {"grad_norm": [(0, 4.0), (1, 1.0)], "grad_norm_clipped": [(0, 2.0), (1, 1.0)]}
        >>> figure = plot_clipping(norms | {"clip_threshold": [(0, 2.0), (1, 2.0)], "clip_rate": [(0, 1.0), (1, 0.0)]})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['norm', 'norm after clipping', 'threshold']
    """
    names = ("grad_norm", "grad_norm_clipped", "clip_rate")
    if missing := [name + mark for name in names if name + mark not in metrics]:
        raise KeyError(f"There is no {', '.join(missing)} to draw: a clipping callback logs it with `log=True`.")
    before, after, rate = (metrics[name + mark] for name in names)
    figure = new_figure((9, 5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    above.plot(*_finite(before), label="norm", color="tab:blue", alpha=0.4, linewidth=1)
    above.plot(*_finite(after), label="norm after clipping", color="tab:blue", linewidth=2)
    thresholds = {name: values for name, values in metrics.items() if name.startswith(f"clip_threshold{mark}")}
    for name, values in thresholds.items():
        group = name.removeprefix("clip_threshold").removeprefix("-").replace("_", " ")
        above.plot(*_finite(values), label=f"threshold {group}".strip(), color="tab:orange", linestyle="--")
    if bad := [step for step, norm in before if not math.isfinite(norm)]:
        above.plot(
            bad, [0.98] * len(bad), "v", transform=above.get_xaxis_transform(), color="tab:red", label="not finite"
        )
    above.set_yscale("log")
    above.set_ylabel("gradient norm")
    above.set_title(title, loc="left")
    above.legend(fontsize=8, frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    below.fill_between(*_finite(rate), step="mid", color="tab:orange", alpha=0.4)
    below.set_ylim(0, 1.05)
    below.set_ylabel("share clipped")
    below.set_xlabel("optimizer step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    if path is not None:
        figure.savefig(path)
    return figure


def _finite(series: Series) -> tuple[list[int], list[float]]:
    """Return steps and values, with a gap for each non-finite value."""
    return [step for step, _ in series], [value if math.isfinite(value) else math.nan for _, value in series]
