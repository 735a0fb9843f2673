"""Sweep rows: read the folder of a sweep, one row per job, during or after the sweep."""

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

_DEPTHS = ("*", "*/*", "*/*/*")  # hydra.sweep.subdir may contain nested folders


@dataclass(frozen=True)
class Row:
    """One job.

    Attributes:
        job: its number, or the name of its folder if Hydra wrote no number.
        status: ``completed``, ``failed``, ``interrupted``, ``running``, ``killed`` (it never ended), ``waiting`` (it
            has not started), or ``no record`` (of another sweeper, with an unknown outcome).
        values: the sampled values, by key.
        best: the best value of the metric; ``None`` if it was never finite.
        step: the optimizer step at which it was logged.
        wall_time: duration in seconds; ``None`` if unknown.
        stopped_by: what ended the training, or the error.
        diverged: whether the metric was logged but never finite.
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
        folder: its folder.
        metric: the metric of the rows' best values.
        mode: whether low or high values are best.
        rows: the jobs, by number.
        scales: ``"linear"``, ``"log"`` or ``"log1m"``, for the keys that are sampled as numbers.
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
        """The sampled keys, in their original order."""
        return list(dict.fromkeys(key for row in self.rows for key in row.values))

    def ranked(self) -> list[Row]:
        """Return the rows with the best first and those without a finite value last."""
        sign = 1 if self.mode == "min" else -1
        return sorted(self.rows, key=lambda row: math.inf if row.best is None else sign * row.best)


def read_rows(folder: str | Path, metric: str = "val_loss", mode: Mode = "min") -> SweepRows:
    """Read a sweep: Hydra's overrides, our records of the jobs, and the metrics of Lightning's CSVLogger.

    Args:
        folder: the folder of the sweep (``hydra.sweep.dir``).
        metric: a column of any ``metrics.csv`` below a job's folder.
        mode: ``"min"`` or ``"max"``.

    Raises:
        ValueError: the folder is not a sweep; the message lists the sweeps in it.
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
    if sweep:  # one of our jobs without a record has not started
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
        raise ValueError(f"{folder} is not a sweep itself. Name one of its sweeps ({len(within)}):{listed}")
    if (folder / ".hydra").is_dir() or (folder / JOB_FILE).is_file():
        raise ValueError(f"{folder} is a single run, not a sweep of several. Name the folder above it.")
    if not any(path.parent == folder and path.name.isdigit() for path in found):
        raise ValueError(
            f"{folder} is not a sweep: it has neither a multirun.yaml nor numbered jobs. The folder of a sweep is "
            f"`hydra.sweep.dir`, by default multirun/DATE/TIME."
        )


def _number(folder: Path) -> int | str:
    """Return the number of a job as Hydra wrote it, or the name of its folder."""
    path = folder / ".hydra" / "hydra.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if found := re.search(r"^    num: (\d+)$", text, flags=re.MULTILINE):  # a YAML parser would take 50 ms per file
        return int(found[1])
    return int(folder.name) if folder.name.isdigit() else folder.name


def _read_overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    return [str(line) for line in yaml.safe_load(path.read_text(encoding="utf-8")) or []] if path.exists() else []


def _sampled(overrides: dict[int | str, list[str]], sweep: SweepRecord | None) -> dict[int | str, dict[str, Value]]:
    """Return, for each job, the values of the sampled keys; without a record, of the keys that differ."""
    texts = {job: dict(split_override(line) for line in lines) for job, lines in overrides.items()}
    keys = list(dict.fromkeys(key for text in texts.values() for key in text))
    fixed = {split_override(line)[0] for line in sweep.fixed} if sweep else set()
    drawn = [key for key in keys if key not in fixed]
    if sweep is None and len(texts) > 1:
        drawn = [key for key in keys if len({text.get(key) for text in texts.values()}) > 1]
    return {job: {key: read_value(text[key]) if key in text else None for key in drawn} for job, text in texts.items()}


def _completed(values: dict[str, Value], folder: Path) -> dict[str, Value]:
    """Fill in values that come from a job's configuration instead of its overrides."""
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
    """Yield step and value of each row with the metric, in all CSVLogger files below a job."""
    for path in sorted(folder.rglob("metrics.csv")):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                names.update(dict.fromkeys(name for name in line if name not in (None, "step", "epoch")))
                text, step = line.get(metric), line.get("step")
                try:
                    yield int(step or ""), float(text or "")
                except ValueError:  # no value in this row, or a row that is being written
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
