"""Sweep tables: a sweep as text, as CSV and as plain data for JSON."""

import csv
from collections import Counter
from dataclasses import asdict
from io import StringIO
from typing import Any

from lightning_tricks.core.text_table import align
from lightning_tricks.sweeps.capacity_curve import describe_sizes
from lightning_tricks.sweeps.sweep_importance import ENOUGH_JOBS, importances, shown_importances
from lightning_tricks.sweeps.sweep_rows import Row, SweepRows
from lightning_tricks.sweeps.sweep_standing import overrides_of

_OVER = ("completed", "failed", "interrupted", "killed", "no record")


def describe_rows(sweep: SweepRows) -> str:
    """Return the table, the best job first, the state of the sweep, the best overrides, each parameter's importance.

    A capacity sweep has the scores of its sizes instead of importances.
    """
    lines = [_columns(sweep), *(_cells(row, sweep) for row in sweep.ranked())]
    best = next(iter(sweep.ranked()), None)
    paste = [f"best overrides: {overrides_of(best)}"] if best and best.best is not None and best.values else []
    end = ["", *describe_sizes(sweep)] if sweep.grown else _importance_lines(sweep)
    return "\n".join([*align(lines), "", progress(sweep), *paste, *end])


def progress(sweep: SweepRows) -> str:
    """Return a line with the number of jobs in each state, and the best job.

    Example:
        >>> from pathlib import Path
        >>> rows = [Row(0, "completed", best=0.5, step=9), Row(1, "running"), Row(2, "waiting")]
        >>> progress(SweepRows(Path("multirun"), "val_loss", "min", rows, {}, ["val_loss"]))
        '3 jobs: 1 completed, 1 running, 1 waiting; best val_loss 0.5 (job 0, step 9)'
    """
    counts = Counter(row.status for row in sweep.rows)
    states = ", ".join(f"{counts[status]} {status}" for status in (*_OVER, "running", "waiting") if counts[status])
    line = f"{len(sweep.rows)} job{'s' if len(sweep.rows) != 1 else ''}: {states or 'none has started'}"
    best = next(iter(sweep.ranked()), None)
    if best is None or best.best is None:
        return line
    return f"{line}; best {sweep.metric} {best.best:.6g} (job {best.job}, step {best.step})"


def csv_rows(sweep: SweepRows) -> str:
    """Return the jobs by number as CSV, with all digits."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_columns(sweep))
    for row in sweep.rows:
        values = [row.values.get(key) for key in sweep.keys]
        writer.writerow([row.job, row.status, *values, row.best, row.step, row.wall_time, row.stopped_by])
    return file.getvalue()


def plain_rows(sweep: SweepRows) -> dict[str, Any]:
    """Return the sweep as plain numbers, strings, lists and dicts."""
    best = next(iter(sweep.ranked()), None)
    return {
        "folder": str(sweep.folder),
        "metric": sweep.metric,
        "mode": sweep.mode,
        "best_job": best.job if best and best.best is not None else None,
        "progress": dict(Counter(row.status for row in sweep.rows)),
        "scales": sweep.scales,
        "importance": [asdict(importance) for importance in shown_importances(sweep)],
        "rows": [asdict(row) for row in sweep.rows],
    }


def _columns(sweep: SweepRows) -> list[str]:
    return ["job", "status", *sweep.keys, sweep.metric, "step", "wall_time", "stopped_by"]


def _cells(row: Row, sweep: SweepRows) -> list[str]:
    values = [_short(row.values.get(key)) for key in sweep.keys]
    seconds = "" if row.wall_time is None else f"{row.wall_time:.1f} s"
    return [str(row.job), row.status, *values, _short(row.best), _short(row.step), seconds, row.stopped_by[:100]]


def _short(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _importance_lines(sweep: SweepRows) -> list[str]:
    found = shown_importances(sweep)
    if not found:
        few = importances(sweep)
        return [f"(the importance of the parameters is shown for {ENOUGH_JOBS} or more jobs)"] if few else []
    lines = [["importance", "", "trend", "bend", "jobs", ""]]
    for importance in found:
        numbers = ["" if number is None else f"{number:+.2f}" for number in (importance.trend, importance.bend)]
        lines.append(
            [importance.key, f"{importance.strength:.2f}", *numbers, str(importance.jobs), importance.words(sweep.mode)]
        )
    meaning = "of the value, and of its distance from the middle"
    return ["", *align(lines), f"(rank correlations with {sweep.metric}: {meaning})"]
