"""Scores: a table and a figure that compare several ways to train over several seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lightning_tricks.core.text_table import align
from lightning_tricks.reports.curves import new_figure


def describe_scores(scores: Mapping[str, Sequence[float]], name: str = "score") -> str:
    """Return a table of way, mean, standard deviation (for two or more seeds), lowest and highest score.

    Example:
        >>> print(describe_scores({"from scratch": [0.5, 0.7], "fine-tuned": [0.9, 0.9]}, "accuracy"))
                      accuracy    ±      lowest  highest
        from scratch  0.600       0.141  0.500   0.700
        fine-tuned    0.900       0.000  0.900   0.900
    """
    rows = [["", name, "±", "lowest", "highest"]]
    for way, values in scores.items():
        spread = f"{stdev(values):.3f}" if len(values) > 1 else ""
        rows.append([way, f"{mean(values):.3f}", spread, f"{min(values):.3f}", f"{max(values):.3f}"])
    return "\n".join(align(rows))


def plot_scores(
    scores: Mapping[str, Sequence[float]], path: str | Path | None = None, *, name: str = "score", title: str = ""
) -> Any:
    """Draw each seed's score as a dot and the mean as a bar, one row per way.

    Args:
        scores: scores by way, one per seed.
        path: where to save the figure; ``None``: it is not saved.
        name: name of the score.
        title: title of the figure.

    Returns:
        A :class:`matplotlib.figure.Figure`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
    """
    figure = new_figure((7, 0.6 * len(scores) + 1.2))
    axes = figure.subplots()
    for row, values in enumerate(scores.values()):
        axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.45, markeredgewidth=0)
        axes.plot([mean(values)] * 2, [row - 0.3, row + 0.3], color="tab:red", linewidth=2)
        axes.annotate(f"{mean(values):.3f}", (mean(values), row - 0.32), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set_ylim(len(scores) - 0.4, -0.7)
    axes.set_xlabel(f"{name} (dots: seeds, red: mean)")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    if path is not None:
        figure.savefig(path)
    return figure
