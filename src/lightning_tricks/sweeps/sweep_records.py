"""Sweep records: the two small files by which a sweep is resumed and compared.

``sweep.json`` in the sweep's folder records what should run, ``sweep_job.json`` in a job's folder its outcome. Both are
replaced atomically, so that a killed process leaves either the old file or the new one.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lightning_tricks.core.atomic_files import replace_file

SWEEP_FILE = "sweep.json"
JOB_FILE = "sweep_job.json"
GROWS = "tag(log, range of doubles from "
"""How the space of a capacity sweep describes a key that grows; the text ends with its first value."""

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class SweepRecord:
    """The definition of a sweep.

    Attributes:
        method: how its values are sampled.
        seed: the seed of the values.
        n_trials: number of jobs per stage; for a grid, the number of combinations.
        space: the original text of the sampled parameters, by stage.
        fixed: the other overrides.
        jobs: the overrides of each job, in order, as far as known.
    """

    method: str
    seed: int
    n_trials: int
    space: list[dict[str, str]]
    fixed: list[str]
    jobs: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class JobRecord:
    """The outcome of a job.

    Attributes:
        status: ``"running"``, ``"completed"``, ``"failed"`` or ``"interrupted"``.
        started: start time in seconds since 1970.
        seconds: its duration, after it has ended.
        stopped_by: what ended the training.
        error: the error of a job that failed.
        result: the number that the application returned; ``None`` if it returned anything else.
        process: its process id.
        machine: the machine's name.
    """

    status: str
    started: float
    seconds: float | None = None
    stopped_by: str = ""
    error: str = ""
    result: float | None = None
    process: int = field(default_factory=os.getpid)
    machine: str = field(default_factory=socket.gethostname)

    def is_alive(self) -> bool:
        """Return whether the job may still be running: it has not ended, and its process may still exist."""
        return self.status == "running" and (not self.can_be_seen() or self._is_process_there())

    def can_be_seen(self) -> bool:
        """Return whether the job ran on this machine, where its process can be checked."""
        return self.machine == socket.gethostname() and os.name == "posix"

    def _is_process_there(self) -> bool:
        if self.process == os.getpid():  # our own process id, reused after the job's process ended
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # a process of another user
            return True
        return True


def read_sweep(folder: Path) -> SweepRecord | None:
    """Return the record of a sweep; ``None`` if the folder has none."""
    return _read(folder / SWEEP_FILE, SweepRecord)


def write_sweep(folder: Path, record: SweepRecord) -> None:
    """Write the record of a sweep; the folder is created if necessary."""
    _write(folder / SWEEP_FILE, asdict(record))


def read_job(folder: Path) -> JobRecord | None:
    """Return the record of a job; ``None`` if the folder has none."""
    return _read(folder / JOB_FILE, JobRecord)


def write_job(folder: Path, record: JobRecord) -> None:
    """Write the record of a job; the folder is created if necessary."""
    _write(folder / JOB_FILE, asdict(record))


def _read(path: Path, kind: Callable[..., _Record]) -> _Record | None:
    try:
        return kind(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a record of a sweep: {error}. Move it away to continue without it.") from error


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=1), encoding="utf-8")
    replace_file(fresh, path)
