"""Rank agreement: share the results and failures of one process with all processes of a run."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) without ``torch.distributed``."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def on_rank_zero(work: Callable[[], Result]) -> Result:
    """Do the work on rank 0 and, on all ranks, return its result or raise its exception.

    Example:
        >>> on_rank_zero(lambda: 1 + 1)
        2
    """
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank == 0:
        try:
            outcome[0] = work()
        except Exception as error:  # raised below, on all ranks
            outcome[1] = error
    torch.distributed.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    result: Result = outcome[0]
    return result


def on_all_ranks(work: Callable[[], None]) -> None:
    """Do the work on each rank; if it fails on one, raise on all ranks after all have finished.

    Raises:
        RuntimeError: another rank failed; the message contains its exception.
    """
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        work()
        return
    failure: Exception | None = None
    try:
        work()
    except Exception as error:  # raised below, when all ranks know
        failure = error
    failures: list[str | None] = [None] * world_size
    torch.distributed.all_gather_object(failures, failure and f"rank {rank}: {failure}")
    if failure is not None:
        raise failure
    if any(failures):
        raise RuntimeError(f"Another process failed: {next(filter(None, failures))}")
