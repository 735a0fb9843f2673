"""LR sweep: the losses of a range test as text and as a figure, from plain numbers."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tricks.reports.curves import new_figure

_CHOSEN = "tab:purple"
"""No method's color, so that the chosen rate is not taken for that of one."""


def describe_sweep(
    lrs: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
    reason: str,
    trials: Sequence[tuple[float, float]] = (),
) -> str:
    """Describe a range test: the suggestion and its reason, the range, and the trials.

    Example:
        >>> print(describe_sweep([0.01, 1.0], [2.0, 1.0], 0.1, "a tenth of 1, where the smoothed loss is lowest"))
        learning rate 0.1: a tenth of 1, where the smoothed loss is lowest
        2 steps from 0.01 to 1; the smoothed loss goes from 2 down to 1
    """
    head = f"learning rate {suggestion:.3g}: {reason}" if suggestion is not None else f"no suggestion: {reason}"
    lines = [head]
    finite = [i for i, value in enumerate(smoothed) if math.isfinite(value)]
    if finite:
        lowest = min(smoothed[place] for place in finite)
        lines.append(
            f"{len(lrs)} steps from {lrs[0]:.3g} to {lrs[-1]:.3g}; the smoothed loss goes from {smoothed[0]:.4g} down "
            f"to {lowest:.4g}"
        )
    if trials:
        lines.append("tried: " + ", ".join(f"{lr:.3g} -> {loss:.4g}" for lr, loss in trials))
    return "\n".join(lines)


def plot_sweep(
    lrs: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestions: Mapping[str, float | None],
    chosen: tuple[str, float | None],
    ax: Any = None,
    reason: str = "",
) -> Any:
    """Draw the losses of a range test over the rates, with every suggestion marked and the chosen one named.

    Args:
        lrs: the rates.
        losses: the unsmoothed losses.
        smoothed: their moving average.
        suggestions: suggestions by method; methods without one are listed in the legend.
        chosen: the name and rate of the chosen suggestion.
        ax: matplotlib axes to draw into; by default a new figure.
        reason: the reason for the choice, used as the title.

    Returns:
        The ``Figure``.
    """
    figure = new_figure((7.5, 4.2)) if ax is None else ax.figure
    ax = figure.subplots() if ax is None else ax
    ax.plot(lrs, losses, color="0.75", linewidth=0.9, label="loss")
    ax.plot(lrs, smoothed, color="black", linewidth=1.6, label="smoothed")
    for place, (method, lr) in enumerate(suggestions.items()):
        _mark_suggestion(ax, place, method, lr, 0.0 if lr is None else smoothed[_nearest(lrs, lr)])
    _mark_choice(ax, *chosen, reason)
    ax.set_xscale("log")
    ax.set_ylim(*_limits(losses))
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return figure


def _mark_suggestion(ax: Any, place: int, method: str, lr: float | None, height: float) -> None:
    """Draw the dot of a method, or list it in the legend as one without a suggestion."""
    if lr is None:
        ax.plot([], [], linestyle="none", label=f"{method}: none")
    else:
        label = f"{method}: {lr:.2g}"
        ax.plot([lr], [height], "o", color=f"C{place}", markersize=7 - place, label=label, zorder=3)


def _mark_choice(ax: Any, name: str, lr: float | None, reason: str) -> None:
    """Draw the line of the chosen rate with its name above it, and the reason as the title."""
    if lr is not None:
        ax.axvline(lr, color=_CHOSEN, linewidth=1.2, linestyle="--")
        above = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
        ax.annotate(f"{name}: {lr:.3g}", (lr, 1.0), ha="center", va="bottom", color=_CHOSEN, **above)
    head = "" if lr is not None else "no suggestion: " * bool(reason) or "no suggestion"
    if head or reason:
        title = "\n".join(textwrap.wrap(head + reason, 95))
        ax.set_title(title, color="C3" if lr is None else "0.2", fontsize=9, pad=20)


def _nearest(lrs: Sequence[float], lr: float) -> int:
    return min(range(len(lrs)), key=lambda i: abs(math.log(lrs[i] / lr)))


def _limits(losses: Sequence[float]) -> tuple[float, float]:
    """Return the y limits that show the fall; the diverging losses at the end are cut off."""
    finite = [loss for loss in losses if math.isfinite(loss)] or [0.0, 1.0]
    low = min(finite)
    start = max(finite[: max(1, len(finite) // 4)])
    high = min(max(finite), start + 0.5 * (start - low)) if start > low else max(finite)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
