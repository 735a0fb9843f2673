"""Sweep rows: read what a sweep has left in its folder, one row a job, while it runs or after."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import yaml

from lightning_tricks.sweeps.sweep_records import GROWS, JOB_FILE, JobRecord, SweepRecord, read_job, read_sweep
from lightning_tricks.sweeps.sweep_values import Value, asked_for, find_scale, look_up, read_value, split_override

Mode = Literal["min", "max"]

_DEPTHS = ("*", "*/*", "*/*/*")  # hydra.sweep.subdir may name folders in folders


@dataclass(frozen=True)
class Row:
    """One job.

    Attributes:
        job: its number, or its folder's name where Hydra wrote no number.
        status: ``completed``, ``failed``, ``interrupted``, ``running``, ``killed`` (it never ended), ``waiting`` (it
            has not begun), or ``no record`` (of another sweeper: how it ended is unknown).
        values: the sampled values, by key.
        best: the best value of the metric, ``None`` if it was never finite.
        step: the optimizer step at which it was logged.
        wall_time: seconds, ``None`` if unknown.
        stopped_by: what ended the training, or the error.
        diverged: the metric was logged, and never finite.
    """

    job: int | str
    status: str
    values: dict[str, Value] = field(default_factory=dict)
    best: float | None = None
    step: int | None = None
    wall_time: float | None = None
    stopped_by: str = ""
    diverged: bool = False


@dataclass(frozen=True)
class SweepRows:
    """A sweep.

    Attributes:
        folder: where it lies.
        metric: what the rows' best value is of.
        mode: whether low or high is best.
        rows: the jobs, by number.
        scales: ``"linear"``, ``"log"`` or ``"log1m"``, of the keys that are drawn as numbers.
        metrics: the names of all metrics that were logged.
        grown: of a capacity sweep, the keys that grow.
    """

    folder: Path
    metric: str
    mode: Mode
    rows: list[Row]
    scales: dict[str, str]
    metrics: list[str]
    grown: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys that were sampled, in the order in which they were written."""
        return list(dict.fromkeys(key for row in self.rows for key in row.values))

    def ranked(self) -> list[Row]:
        """Return the rows, the best first, those without a finite value last."""
        sign = 1 if self.mode == "min" else -1
        return sorted(self.rows, key=lambda row: math.inf if row.best is None else sign * row.best)


def read_rows(folder: str | Path, metric: str = "val_loss", mode: Mode = "min") -> SweepRows:
    """Read a sweep: Hydra's overrides and our records of the jobs, and the metrics of Lightning's CSVLogger.

    Args:
        folder: what ``hydra.sweep.dir`` was.
        metric: a column of the ``metrics.csv`` that lie anywhere below a job's folder.
        mode: ``"min"`` or ``"max"``.

    Raises:
        ValueError: the folder holds no sweep; the message lists what it holds.
    """
    folder = Path(folder)
    sweep = read_sweep(folder) if folder.is_dir() else None
    found = _job_folders(folder)
    _refuse_what_is_no_sweep(folder, found, sweep)
    overrides: dict[int | str, list[str]] = dict(enumerate(sweep.jobs)) if sweep else {}
    folders = {}
    for path in found:
        job = _number(path)
        folders[job] = path
        overrides.setdefault(job, _read_overrides(path))
    names: dict[str, None] = {}
    values = _sampled(overrides, sweep)
    order = sorted(overrides, key=lambda job: (isinstance(job, str), job))
    rows = [_row(job, values[job], folders.get(job), metric, mode, names) for job in order]
    if sweep:  # a job of ours that has no record yet has not begun
        rows = [replace(row, status="waiting") if row.status == "no record" else row for row in rows]
    grown = [key for key, text in sweep.space[0].items() if text.startswith(GROWS)] if sweep and sweep.space else []
    return SweepRows(folder, metric, mode, rows, _scales(folder, sweep, rows), list(names), grown)


def _job_folders(folder: Path) -> list[Path]:
    names = (".hydra", JOB_FILE)
    found = {path.parent for depth in _DEPTHS for name in names for path in folder.glob(f"{depth}/{name}")}
    return sorted(path for path in found if found.isdisjoint(path.parents))  # a run within a job is part of the job


def _refuse_what_is_no_sweep(folder: Path, found: Sequence[Path], sweep: SweepRecord | None) -> None:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    if sweep or (folder / "multirun.yaml").is_file():
        return
    within = sorted({path for depth in _DEPTHS for path in folder.glob(f"{depth}/multirun.yaml")})
    if within:
        listed = "".join(f"\n  {path.parent}" for path in within)
        raise ValueError(f"{folder} is not a sweep, but holds {len(within)}; name one of them:{listed}")
    if (folder / ".hydra").is_dir() or (folder / JOB_FILE).is_file():
        raise ValueError(f"{folder} is a single run, not a sweep of several. Name the folder above it.")
    if not any(path.parent == folder and path.name.isdigit() for path in found):
        raise ValueError(
            f"{folder} is not a sweep: it has neither a multirun.yaml nor numbered jobs. A sweep's folder is what "
            "`hydra.sweep.dir` names, multirun/DATE/TIME by default."
        )


def _number(folder: Path) -> int | str:
    """Return the number of a job as Hydra wrote it, else its folder's name."""
    path = folder / ".hydra" / "hydra.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if found := re.search(r"^    num: (\d+)$", text, flags=re.MULTILINE):  # a YAML parser takes 50 ms for each
        return int(found[1])
    return int(folder.name) if folder.name.isdigit() else folder.name


def _read_overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    return [str(line) for line in yaml.safe_load(path.read_text(encoding="utf-8")) or []] if path.exists() else []


def _sampled(overrides: dict[int | str, list[str]], sweep: SweepRecord | None) -> dict[int | str, dict[str, Value]]:
    """Return, for each job, the values of the keys that were drawn; without a record, of those that differ."""
    texts = {job: dict(split_override(line) for line in lines) for job, lines in overrides.items()}
    keys = list(dict.fromkeys(key for text in texts.values() for key in text))
    fixed = {split_override(line)[0] for line in sweep.fixed} if sweep else set()
    drawn = [key for key in keys if key not in fixed]
    if sweep is None and len(texts) > 1:
        drawn = [key for key in keys if len({text.get(key) for text in texts.values()}) > 1]
    return {job: {key: read_value(text[key]) if key in text else None for key in drawn} for job, text in texts.items()}


def _completed(values: dict[str, Value], folder: Path) -> dict[str, Value]:
    """Fill in what the overrides of a job leave to its configuration."""
    path = folder / ".hydra" / "config.yaml"
    if not path.exists() or None not in values.values():
        return values
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: look_up(config, key) if value is None else value for key, value in values.items()}


def _row(
    job: int | str, values: dict[str, Value], folder: Path | None, metric: str, mode: Mode, names: dict[str, None]
) -> Row:
    if folder is None:
        return Row(job, "waiting", values)
    values = _completed(values, folder)
    record = read_job(folder)
    points = list(_points(folder, metric, names))
    finite = [point for point in points if math.isfinite(point[1])]
    choose = min if mode == "min" else max
    step, best = choose(finite, key=lambda point: point[1]) if finite else (None, None)
    diverged = bool(points) and not finite
    stopped_by = record.error or record.stopped_by if record else ""
    if diverged:
        stopped_by = f"{metric} was never finite" + (f"; {stopped_by}" if stopped_by else "")
    return Row(job, _status(record), values, best, step, _wall_time(folder, record), stopped_by, diverged)


def _status(record: JobRecord | None) -> str:
    if record is None:
        return "no record"
    return "killed" if record.status == "running" and not record.is_alive() else record.status


def _points(folder: Path, metric: str, names: dict[str, None]) -> Iterable[tuple[int, float]]:
    """Yield step and value of each row that has the metric, in all files of the CSVLogger below a job."""
    for path in sorted(folder.rglob("metrics.csv")):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                names.update(dict.fromkeys(name for name in line if name not in (None, "step", "epoch")))
                text, step = line.get(metric), line.get("step")
                try:
                    yield int(step or ""), float(text or "")
                except ValueError:  # no value in this row, or one that is being written
                    continue


def _wall_time(folder: Path, record: JobRecord | None) -> float | None:
    if record and record.seconds is not None:
        return record.seconds
    begun = record.started if record else _changed(folder / ".hydra" / "overrides.yaml")
    written = [_changed(path) for path in folder.rglob("metrics.csv")]
    return max(0.0, max(written) - begun) if written and begun else None


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _scales(folder: Path, sweep: SweepRecord | None, rows: Sequence[Row]) -> dict[str, str]:
    if sweep:
        asked = {split_override(key)[0]: text for stage in sweep.space for key, text in stage.items()}
    else:
        path = folder / "multirun.yaml"
        asked = dict(asked_for(yaml.safe_load(path.read_text(encoding="utf-8")))) if path.is_file() else {}
    scales = {}
    for key in dict.fromkeys(key for row in rows for key in row.values):
        scale = find_scale(asked.get(key, ""), (row.values.get(key) for row in rows))
        if scale:
            scales[key] = scale
    return scales
