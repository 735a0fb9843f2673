"""Plateau: draw the score of each check, the best so far, and the learning rate with its reductions marked."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from lightning_tricks.reports.curves import new_figure


def plot_plateau(
    history: Sequence[tuple[int, float, float]],
    path: str | Path | None = None,
    *,
    monitor: str = "score",
    mode: Literal["min", "max"] = "min",
    base_lr: float = 1.0,
) -> Any:
    """Draw the checks of a run under the no-improvement-in-n rule.

    Args:
        history: the step, the score and the factor after each check, as in ``ReduceLROnPlateau.history``.
        path: where to save the figure; ``None``: it is not saved.
        monitor: name of the score.
        mode: whether lower or higher is better.
        base_lr: the learning rate that the factor multiplies.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        ValueError: there was no check.
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).

    Example:
        >>> figure = plot_plateau([(10, 0.9, 1.0), (20, 0.5, 1.0), (30, 0.6, 0.5), (40, 0.4, 0.5)])
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['score', 'learning rate']
    """
    if not history:
        raise ValueError("`history` must contain at least one check, got none: the run ended before its first check.")
    steps, scores, factors = zip(*history, strict=True)
    cuts = [step for step, before, after in zip(steps, (1.0, *factors), factors, strict=False) if after < before]
    figure = new_figure((9, 6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_scores(
        above, steps, scores, list(accumulate(scores, lambda best, score: _better(best, score, mode))), monitor
    )
    plural = "" if len(cuts) == 1 else "s"
    above.set_title(f"{above.get_title()}, {len(cuts)} cut{plural} of the learning rate")
    _draw_rates(below, steps, [base_lr * factor for factor in (1.0, *factors)])
    for index, step in enumerate(cuts):
        label = f"reduction ({len(cuts)})" if index == 0 else None
        above.axvline(step, color="tab:red", linestyle=":", linewidth=1, label=label)
        below.axvline(step, color="tab:red", linestyle=":", linewidth=1)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    above.legend()
    if path is not None:
        figure.savefig(path)
    return figure


def _draw_scores(
    axes: Any, steps: Sequence[int], scores: Sequence[float], bests: Sequence[float], monitor: str
) -> None:
    axes.plot(steps, scores, marker=".", linewidth=1, label=monitor)
    axes.step(steps, bests, where="post", linewidth=2, label="best so far")
    axes.set_ylabel(monitor)
    axes.set_title(f"{monitor}: best {bests[-1]:.4g} in {len(steps)} checks")
    if min(scores) > 0 and max(scores) > 5 * min(scores):
        axes.set_yscale("log")


def _draw_rates(axes: Any, steps: Sequence[int], rates: Sequence[float]) -> None:
    axes.step((0, *steps), rates, where="post", color="tab:green", linewidth=2)
    axes.set_yscale("log")
    axes.set_ylabel("learning rate")
    axes.set_xlabel("optimizer step")


def _better(best: float, score: float, mode: str) -> float:
    if best != best:  # no finite score yet
        return score
    return min(best, score) if mode == "min" else max(best, score)
