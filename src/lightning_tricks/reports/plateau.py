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
    bests = list(accumulate(scores, lambda best, score: _better(best, score, mode)))
    cuts = [step for step, before, after in zip(steps, (1.0, *factors), factors, strict=False) if after < before]
    figure = new_figure((9, 6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    above.plot(steps, scores, marker=".", linewidth=1, label=monitor)
    above.step(steps, bests, where="post", linewidth=2, label="best so far")
    above.set_ylabel(monitor)
    plural = "" if len(cuts) == 1 else "s"
    above.set_title(
        f"{monitor}: best {bests[-1]:.4g} in {len(steps)} checks, {len(cuts)} cut{plural} of the learning rate"
    )
    if min(scores) > 0 and max(scores) > 5 * min(scores):
        above.set_yscale("log")
    rates = [base_lr * factor for factor in (1.0, *factors)]
    below.step((0, *steps), rates, where="post", color="tab:green", linewidth=2)
    below.set_yscale("log")
    below.set_ylabel("learning rate")
    below.set_xlabel("optimizer step")
    for index, step in enumerate(cuts):
        for axes in (above, below):
            label = f"reduction ({len(cuts)})" if axes is above and index == 0 else None
            axes.axvline(step, color="tab:red", linestyle=":", linewidth=1, label=label)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    above.legend()
    if path is not None:
        figure.savefig(path)
    return figure


def _better(best: float, score: float, mode: str) -> float:
    if best != best:  # no finite score yet
        return score
    return min(best, score) if mode == "min" else max(best, score)
