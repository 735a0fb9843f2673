"""Sweep folders: one sweep each, run by one process at a time; nothing in them is overwritten."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import CompactHydraException

from lightning_tricks.hydra.recorded_job import later_rank
from lightning_tricks.hydra.sweep_plan import SweepPlan
from lightning_tricks.sweeps.sweep_records import SweepRecord
from lightning_tricks.sweeps.sweep_values import split_override


class SweepError(CompactHydraException):
    """A sweep that cannot be run as asked, or whose jobs failed: Hydra shows the message alone, and ends with 1."""


class JobNumbers(int):
    """The numbers of the jobs of a launch, which may have gaps.

    A launcher gives a job the number of the first plus its position among those it was handed; and that sum is the
    job's own number here, so that one launch can run whichever jobs are missing.

    Example:
        >>> first = JobNumbers([3, 7, 8])
        >>> [first + position for position in range(3)]
        [3, 7, 8]
    """

    _numbers: Sequence[int]

    def __new__(cls, numbers: Sequence[int]) -> "JobNumbers":
        """Keep the numbers; be the first of them."""
        first = super().__new__(cls, numbers[0])
        first._numbers = list(numbers)
        return first

    def __add__(self, position: int) -> int:
        return self._numbers[position]


def refuse_inner_process() -> None:
    """Refuse to sweep in a process that a job started: it would draw and run the whole sweep once more."""
    rank = later_rank()
    if rank:
        raise SweepError(
            f"{rank}: this is one of several processes, and each would run the whole sweep. For jobs under "
            "`strategy=ddp` add `hydra/callbacks=lightning_tricks_ddp`, which starts a job's processes with the job's "
            "own values, or use `ddp_spawn` or `ddp_fork`. Do not start a sweep with torchrun or srun: start it once, "
            "and let a launcher start the jobs."
        )


def refuse_foreign_jobs(folder: Path, jobs: Sequence[Path]) -> None:
    """Refuse a folder that holds jobs without a record."""
    taken = [path.name for path in (folder / "multirun.yaml", *jobs) if path.exists()]
    if taken:
        raise SweepError(
            f"{folder} holds {taken[0]} of another sweep, which is left as it is. Choose another `hydra.sweep.dir`."
        )


def refuse_another(record: SweepRecord, plan: SweepPlan, seed: int | None, folder: Path) -> None:
    """Refuse to continue a sweep with another space, seed or method.

    Args:
        record: the record in the folder.
        plan: what was asked for.
        seed: what was asked for; ``None`` takes the recorded one.
        folder: that of the sweep.
    """
    asked = plan.record([])
    compared = {
        "hydra.sweeper.method": (record.method, asked.method),
        "hydra.sweeper.seed": (record.seed, record.seed if seed is None else seed),
        "fixed overrides": (essential(record.fixed), essential(asked.fixed)),
        "space": (record.space, asked.space),
    }
    if len(plan.stages) > 1:  # a longer first stage would be another start for the second
        compared["hydra.sweeper.n_trials, with stages"] = (record.n_trials, asked.n_trials)
    different = [f"{name}: {was} there, {now} now" for name, (was, now) in compared.items() if was != now]
    if different:
        raise SweepError(
            f"{folder} holds another sweep, which is left as it is ({'; '.join(different)}). "
            "Choose another `hydra.sweep.dir`, or give what it was begun with."
        )


def essential(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that say what a job does, in alphabetical order; who launches it is another matter.

    Example:
        >>> essential(["lr=0.1", "+lt_launcher=joblib"])
        ['lr=0.1']
    """
    return sorted(override for override in overrides if split_override(override)[0] != "lt_launcher")


@contextmanager
def only_sweep_in(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from sweeping in it until this one ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: without a lock
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SweepError(f"A process is running the sweep in {folder} at this moment.") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
