"""Sweep folders: each contains one sweep, run by one process at a time; nothing is overwritten."""

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
    """A sweep that cannot be run as requested, or whose jobs failed; Hydra shows only the message and exits with 1."""


class JobNumbers(int):
    """The numbers of the jobs of a launch, which may have gaps.

    A launcher gives each job the number of the first job plus its position in the launch. Here this sum is the job's
    own number, so that one launch can run any set of missing jobs.

    Example:
        >>> first = JobNumbers([3, 7, 8])
        >>> [first + position for position in range(3)]
        [3, 7, 8]
    """

    _numbers: Sequence[int]

    def __new__(cls, numbers: Sequence[int]) -> "JobNumbers":
        """Store the numbers; the integer value is the first of them."""
        first = super().__new__(cls, numbers[0])
        first._numbers = list(numbers)
        return first

    def __add__(self, position: int) -> int:
        return self._numbers[position]


def refuse_inner_process() -> None:
    """Raise an error in a process that a job started, because it would draw and run the whole sweep again."""
    rank = later_rank()
    if rank:
        raise SweepError(
            f"{rank}: this is one of several processes, and each would run the whole sweep. For jobs under "
            "`strategy=ddp` add `hydra/callbacks=lightning_tricks_ddp`, which starts a job's processes with the job's "
            "own values, or use `ddp_spawn` or `ddp_fork`. Do not start a sweep with torchrun or srun; start it once, "
            "and let a launcher start the jobs."
        )


def refuse_foreign_jobs(folder: Path, jobs: Sequence[Path]) -> None:
    """Raise an error for a folder that contains jobs without a record."""
    taken = [path.name for path in (folder / "multirun.yaml", *jobs) if path.exists()]
    if taken:
        raise SweepError(
            f"{folder} contains {taken[0]} of another sweep, which is not changed. Choose another `hydra.sweep.dir`."
        )


def refuse_another(record: SweepRecord, plan: SweepPlan, seed: int | None, folder: Path) -> None:
    """Raise an error if a sweep is continued with another space, seed or method.

    Args:
        record: the record in the folder.
        plan: the requested plan.
        seed: the requested seed; ``None`` uses the recorded one.
        folder: the folder of the sweep.
    """
    asked = plan.record([])
    compared = {
        "hydra.sweeper.method": (record.method, asked.method),
        "hydra.sweeper.seed": (record.seed, record.seed if seed is None else seed),
        "fixed overrides": (essential(record.fixed), essential(asked.fixed)),
        "space": (record.space, asked.space),
    }
    if len(plan.stages) > 1:  # a longer first stage would change the start of the second
        compared["hydra.sweeper.n_trials, with stages"] = (record.n_trials, asked.n_trials)
    different = [f"{name}: {was} there, {now} now" for name, (was, now) in compared.items() if was != now]
    if different:
        raise SweepError(
            f"{folder} contains another sweep, which is not changed ({'; '.join(different)}). Choose another "
            f"`hydra.sweep.dir`, or use the original settings."
        )


def essential(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that define a job, in alphabetical order, without those of the launcher.

    Example:
        >>> essential(["lr=0.1", "+lt_launcher=joblib"])
        ['lr=0.1']
    """
    return sorted(override for override in overrides if split_override(override)[0] != "lt_launcher")


@contextmanager
def only_sweep_in(folder: Path) -> Iterator[None]:
    """Create the folder, and prevent other processes from sweeping in it until this one ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows has no such lock
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SweepError(
                f"Another process is currently running the sweep in {folder}. Wait until it has ended."
            ) from error
        except OSError:  # the file system does not support locks
            pass
        yield
    finally:
        os.close(handle)
