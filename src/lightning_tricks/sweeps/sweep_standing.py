"""Sweep standing: the progress of a sweep by its jobs' logged metric, for applications that return no result."""

from pathlib import Path
from shlex import quote

from lightning_tricks.sweeps.metric_choice import choose_metric, choose_mode
from lightning_tricks.sweeps.sweep_rows import Row, SweepRows, read_rows


def read_standing(folder: Path) -> SweepRows | None:
    """Return a sweep with its chosen metric; ``None`` if none can be chosen or no job has it."""
    try:
        metric = choose_metric(read_rows(folder).metrics)
        sweep = read_rows(folder, metric, choose_mode(metric))
    except (ValueError, OSError):
        return None
    return sweep if any(row.best is not None for row in sweep.rows) else None


def describe_job(sweep: SweepRows, job: int | str) -> str:
    """Return the result of a job and the best job so far; nothing if the job has no finite value.

    Example:
        >>> rows = [Row(0, "completed", best=0.5), Row(1, "completed", best=0.75)]
        >>> describe_job(SweepRows(Path("multirun"), "val_loss", "min", rows, {}, ["val_loss"]), 1)
        'Job 1 reached val_loss 0.75; best so far 0.5 (job 0)'
    """
    own = next((row for row in sweep.rows if row.job == job), None)
    best = sweep.ranked()[0]
    if own is None or own.best is None or best.best is None:
        return ""
    return f"Job {job} reached {sweep.metric} {own.best:.6g}; best so far {best.best:.6g} (job {best.job})"


def overrides_of(row: Row) -> str:
    """Return the sampled values of a job as a line to paste.

    Example:
        >>> overrides_of(Row(3, "completed", {"model.lr": 0.1, "net": "cnn", "name": "a b", "unset": None}))
        "model.lr=0.1 net=cnn 'name=a b'"
    """
    return " ".join(quote(f"{key}={value}") for key, value in row.values.items() if value is not None)
