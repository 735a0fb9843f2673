"""Metric reader: read a logged metric, the same on all ranks, and whether the value is new."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from lightning_tricks.core.close_names import close_names, did_you_mean
from lightning_tricks.core.devices import precise_dtype


class Reading(NamedTuple):
    """A value of a metric, averaged over the ranks that have it.

    Attributes:
        value: the mean; exactly the common value if the ranks agree.
        is_new: whether some rank logged it during the current validation or since the last check.
        precision: the dtype in which it was logged.
    """

    value: float
    is_new: bool
    precision: torch.dtype


class MetricReader:
    """Read one metric of a Trainer.

    Decisions depend only on the returned values, not on rank-specific ones, so that all ranks decide in the same way.
    Each reading needs one collective (none in a single process) and one host synchronization.

    Args:
        owner: the name of the reader, for messages.
        monitor: the key of the metric.
        strict: whether a metric that is not logged raises an error instead of a warning.
    """

    def __init__(self, owner: str, monitor: str, strict: bool) -> None:
        self.owner = owner
        self.monitor = monitor
        self.strict = strict
        self._checked = _Mark(None)
        self._at_validation: _Mark | None = None
        self._warned = False

    def start_validation(self, trainer: Trainer) -> None:
        """Record the logged values at the start of a validation, to recognize those that the validation logs."""
        self._at_validation = _Mark(trainer.callback_metrics.get(self.monitor))

    def _is_new(self, tensor: Tensor | None) -> bool:
        """Return whether the validation wrote this value or, outside of one, whether it is new."""
        before, self._at_validation = self._at_validation or self._checked, None
        is_new = before.differs_from(tensor)
        if before is self._checked or is_new:
            self._checked = _Mark(tensor)
        return is_new

    def read(self, trainer: Trainer) -> Reading | None:
        """Return the metric, or ``None`` if no rank has it; every rank must call this.

        Raises:
            RuntimeError: the metric is not a single number.
        """
        tensor = trainer.callback_metrics.get(self.monitor)
        if tensor is not None and tensor.numel() != 1:
            raise RuntimeError(
                f"`{self.owner}` monitors `{self.monitor}`, which must be a single number, got a tensor of shape "
                f"{tuple(tensor.shape)}. Log its mean, or another number that summarizes it."
            )
        return self._agree(trainer, tensor, self._is_new(tensor))

    def _agree(self, trainer: Trainer, tensor: Tensor | None, is_new: bool) -> Reading | None:
        if trainer.world_size == 1:
            return None if tensor is None else Reading(float(tensor), is_new, _precision(tensor.dtype))
        device = trainer.strategy.root_device
        mine = torch.zeros(4, dtype=precise_dtype(device), device=device)
        if tensor is not None:
            mine[0], mine[1], mine[2] = 1, is_new, tensor.dtype == torch.float64
            mine[3] = tensor.detach().reshape(())
        ranks = [row for row in trainer.strategy.all_gather(mine).tolist() if row[0]]
        if not ranks:
            return None
        double = any(row[2] for row in ranks)
        return Reading(_mean([row[3] for row in ranks]), any(row[1] for row in ranks), _PRECISIONS[double])

    def report_missing(self, trainer: Trainer) -> None:
        """Raise, or warn once, because the metric was not logged.

        Raises:
            RuntimeError: if strict; the message names the logged metrics.
        """
        logged = ", ".join(f"`{name}`" for name in sorted(trainer.callback_metrics)) or "none"
        offer = did_you_mean(f"`{name}`" for name in close_names(self.monitor, trainer.callback_metrics))
        message = (
            f"`{self.owner}` monitors `{self.monitor}`, which is not available. Logged so far: {logged}.{offer} Log it "
            f'with `self.log("{self.monitor}", ...)`, or monitor another metric.'
        )
        if self.strict:
            raise RuntimeError(message)
        if not self._warned:
            self._warned = True
            rank_zero_warn(message + " Nothing is checked until then.", category=RuntimeWarning)


class _Mark:
    """A logged value at one moment, used to recognize later values.

    A reference is kept, so that the tensor's memory cannot be reused.
    """

    def __init__(self, tensor: Tensor | None) -> None:
        self._tensor = tensor
        self._version = None if tensor is None or tensor.is_inference() else tensor._version

    def differs_from(self, tensor: Tensor | None) -> bool:
        """Return whether this is a different tensor, or one written since then; a view does not count as different."""
        if tensor is None:
            return False
        if self._tensor is None or self._tensor.data_ptr() != tensor.data_ptr():
            return True
        return self._version != (None if tensor.is_inference() else tensor._version)


_PRECISIONS = {False: torch.float32, True: torch.float64}


def _precision(dtype: torch.dtype) -> torch.dtype:
    return _PRECISIONS[dtype == torch.float64]


def _mean(values: list[float]) -> float:
    """Return the mean; equal values are returned exactly, because (x + x + x) / 3 may be rounded."""
    if len(set(values)) == 1:
        return values[0]
    return sum(values) / len(values)
