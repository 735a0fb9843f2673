"""Ratios of test losses to a random search, their geometric means and standard errors; pure functions."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from results import Row

Key = tuple[str, str, int]
"""Task, optimizer, seed."""

MOST = 100.0
"""The ratio at which a training counts as failed; worse ones count no more."""


class Mean(NamedTuple):
    """A geometric mean of ratios over tasks.

    Attributes:
        mean: of the tasks' geometric means over seeds.
        error: the standard error over tasks, of the logarithm, as a share of the mean.
        worst: the largest mean of a task.
        worst_task: its name.
        tasks: by task, the geometric mean over seeds.
        count: trainings.
    """

    mean: float
    error: float
    worst: float
    worst_task: str
    tasks: dict[str, float]
    count: int


def searched(trials: Sequence[Row], size: int) -> list[float]:
    """Return what random searches of a size end with: in each group of trials, the test loss of the best validation.

    Example:
        >>> rows = [Row(None, val, test, 1.0) for val, test in [(3.0, 3.5), (1.0, 1.5), (2.0, 2.5), (4.0, 4.5)]]
        >>> searched(rows, 4), searched(rows, 2)
        ([1.5], [1.5, 2.5])
    """
    groups = [trials[start : start + size] for start in range(0, len(trials) - size + 1, size)]
    return [min(group, key=lambda row: row.val).test for group in groups]


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean.

    Example:
        >>> geometric_mean([0.5, 2.0])
        1.0
    """
    return math.exp(fmean([math.log(value) for value in values]))


def ratio(loss: float, reference: float) -> float:
    """Return how many times the reference a loss is, at most :data:`MOST`."""
    return min(MOST, loss / reference)


def mean_over_tasks(by_task: Mapping[str, Sequence[float]]) -> Mean:
    """Return the mean of ratios that are given by task.

    Example:
        >>> found = mean_over_tasks({"a": [1.0, 4.0], "b": [2.0, 2.0]})
        >>> found.mean, found.error, found.worst
        (2.0, 0.0, 2.0)
    """
    tasks = {task: geometric_mean(values) for task, values in by_task.items()}
    logs = [math.log(value) for value in tasks.values()]
    error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    worst = max(tasks, key=tasks.__getitem__)
    return Mean(geometric_mean(tasks.values()), error, tasks[worst], worst, tasks, sum(map(len, by_task.values())))


def ratios_of(rows: Iterable[Row], references: Mapping[Key, float]) -> dict[str, dict[str, list[float]]]:
    """Return the ratios by method and task, of the rows that have a reference."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        key = (row.job.task, row.job.optimizer, row.job.seed)
        if key in references:
            found[row.job.method][row.job.task].append(ratio(row.test, references[key]))
    return found
