"""Metric reader: the value of a logged metric, the same on all ranks, and whether it is a new one."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor


class Reading(NamedTuple):
    """A value of a metric, averaged over the ranks that have it.

    Attributes:
        value: the mean; exactly the common value where the ranks agree.
        is_new: it was logged since the last look on some rank.
        precision: the type that it was logged with.
    """

    value: float
    is_new: bool
    precision: torch.dtype


class MetricReader:
    """Read one metric of a Trainer.

    A decision is made from what this returns and from nothing else of a rank's own, so that all ranks decide alike. One
    collective (none in a single process) and one host synchronisation a reading.

    Args:
        owner: who reads it, for messages.
        monitor: the key of the metric.
        strict: a metric that is not logged is an error, not a warning.
    """

    def __init__(self, owner: str, monitor: str, strict: bool) -> None:
        self.owner = owner
        self.monitor = monitor
        self.strict = strict
        self._last: Tensor | None = None
        self._version: int | None = None
        self._warned = False

    def mark_seen(self, trainer: Trainer) -> None:
        """Remember what is there now: only what comes after it is new."""
        self._remember(trainer.callback_metrics.get(self.monitor))

    def _remember(self, tensor: Tensor | None) -> bool:
        """Say whether this is another tensor than the last, or one written since; a view of it is not another."""
        version = None if tensor is None or tensor.is_inference() else tensor._version
        # the last one is held, so that its memory cannot be given to another
        moved = tensor is not None and (self._last is None or self._last.data_ptr() != tensor.data_ptr())
        written = tensor is not None and version != self._version
        self._last, self._version = tensor, version
        return moved or written

    def read(self, trainer: Trainer) -> Reading | None:
        """Return the metric, ``None`` if no rank has it; every rank must call it.

        Raises:
            RuntimeError: it is not a single number.
        """
        tensor = trainer.callback_metrics.get(self.monitor)
        if tensor is not None and tensor.numel() != 1:
            raise RuntimeError(
                f"`{self.owner}` monitors `{self.monitor}`, which must be a single number, got a tensor of shape "
                f"{tuple(tensor.shape)}. Log its mean, or whatever number sums it up."
            )
        return self._agree(trainer, tensor, self._remember(tensor))

    def _agree(self, trainer: Trainer, tensor: Tensor | None, is_new: bool) -> Reading | None:
        if trainer.world_size == 1:
            return None if tensor is None else Reading(float(tensor), is_new, _precision(tensor.dtype))
        device = trainer.strategy.root_device
        wide = torch.float32 if device.type == "mps" else torch.float64
        mine = torch.zeros(4, dtype=wide, device=device)
        if tensor is not None:
            mine[0], mine[1], mine[2] = 1, is_new, tensor.dtype == torch.float64
            mine[3] = tensor.detach().reshape(())
        ranks = [row for row in trainer.strategy.all_gather(mine).tolist() if row[0]]
        if not ranks:
            return None
        double = any(row[2] for row in ranks)
        return Reading(_mean([row[3] for row in ranks]), any(row[1] for row in ranks), _PRECISIONS[double])

    def complain(self, trainer: Trainer) -> None:
        """Raise, or warn once, because nobody logged the metric.

        Raises:
            RuntimeError: where it is strict; the message names the metrics that are logged.
        """
        logged = ", ".join(f"`{name}`" for name in sorted(trainer.callback_metrics)) or "none"
        message = (
            f"`{self.owner}` monitors `{self.monitor}`, which is not available. Logged by now: {logged}. Log it with "
            f'`self.log("{self.monitor}", ...)`, or monitor another.'
        )
        if self.strict:
            raise RuntimeError(message)
        if not self._warned:
            self._warned = True
            rank_zero_warn(message + " Until then nothing is checked.", category=RuntimeWarning)


_PRECISIONS = {False: torch.float32, True: torch.float64}


def _precision(dtype: torch.dtype) -> torch.dtype:
    return _PRECISIONS[dtype == torch.float64]


def _mean(values: list[float]) -> float:
    """Return the mean; of equal values that value itself, where (x + x + x) / 3 may be off by a rounding."""
    if len(set(values)) == 1:
        return values[0]
    return sum(values) / len(values)
