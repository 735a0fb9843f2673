"""The table of results: which trainings were done, kept in a CSV file that an interrupted run continues."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One training: which task, with which optimizer, by which method, and the seed of its rows, weights and order."""

    task: str
    optimizer: str
    method: str
    seed: int


class Row(NamedTuple):
    """A training that was done: its job, its losses and its length in trainings."""

    job: Job
    val: float
    test: float
    trainings: float


HEADER = [*Job._fields, *Row._fields[1:]]


def read(path: Path) -> list[Row]:
    """Return the rows of a file, none if it does not exist; of a job that stands there twice, the last."""
    if not path.exists():
        return []
    found = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            job = Job(line["task"], line["optimizer"], line["method"], int(line["seed"]))
            found[job] = Row(job, float(line["val"]), float(line["test"]), float(line["trainings"]))
    return list(found.values())


def append(path: Path, rows: Iterable[Row]) -> None:
    """Write each row as soon as it is there."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        table = csv.writer(file)
        if is_new:
            table.writerow(HEADER)
        for row in rows:
            table.writerow([*row.job, f"{row.val:.6g}", f"{row.test:.6g}", f"{row.trainings:.4g}"])
            file.flush()


def remaining(jobs: Iterable[Job], done: Iterable[Row]) -> Iterator[Job]:
    """Return the jobs that no row answers."""
    known = {row.job for row in done}
    return (job for job in jobs if job not in known)


def whole_seeds(rows: Iterable[Row], jobs: Iterable[Job]) -> list[Row]:
    """Return the rows of those seeds of which no job is missing, so that all methods have the same seeds."""
    rows = list(rows)
    missing = {job.seed for job in remaining(jobs, rows)}
    return [row for row in rows if row.job.seed not in missing]
