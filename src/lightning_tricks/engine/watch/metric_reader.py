"""Metric reader: the value of a logged metric, the same on all ranks, and whether it is a new one."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from lightning_tricks.core.close_names import close_names, did_you_mean


class Reading(NamedTuple):
    """A value of a metric, averaged over the ranks that have it.

    Attributes:
        value: the mean; exactly the common value where the ranks agree.
        is_new: some rank logged it, during the validation that ends or else since the last check.
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
        self._checked = _Mark(None)
        self._at_validation: _Mark | None = None
        self._warned = False

    def start_validation(self, trainer: Trainer) -> None:
        """Remember what is logged when a validation starts: only what comes after it is the validation's."""
        self._at_validation = _Mark(trainer.callback_metrics.get(self.monitor))

    def _is_new(self, tensor: Tensor | None) -> bool:
        """Return whether a validation wrote this value or, outside of one, anything since the last check."""
        before, self._at_validation = self._at_validation or self._checked, None
        is_new = before.differs_from(tensor)
        if before is self._checked or is_new:
            self._checked = _Mark(tensor)
        return is_new

    def read(self, trainer: Trainer) -> Reading | None:
        """Return the metric, ``None`` if no rank has it; every rank must call it.

        Raises:
            RuntimeError: it is not a single number.
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

    def report_missing(self, trainer: Trainer) -> None:
        """Raise, or warn once, because the metric was not logged.

        Raises:
            RuntimeError: where it is strict; the message names the metrics that are logged.
        """
        logged = ", ".join(f"`{name}`" for name in sorted(trainer.callback_metrics)) or "none"
        offer = did_you_mean(f"`{name}`" for name in close_names(self.monitor, trainer.callback_metrics))
        message = (
            f"`{self.owner}` monitors `{self.monitor}`, which is not available. Logged by now: {logged}.{offer} Log it "
            f'with `self.log("{self.monitor}", ...)`, or monitor another.'
        )
        if self.strict:
            raise RuntimeError(message)
        if not self._warned:
            self._warned = True
            rank_zero_warn(message + " Until then nothing is checked.", category=RuntimeWarning)


class _Mark:
    """A logged value at one moment, by which a later one is told from it.

    The tensor is held, so that its memory cannot be given to another.
    """

    def __init__(self, tensor: Tensor | None) -> None:
        self._tensor = tensor
        self._version = None if tensor is None or tensor.is_inference() else tensor._version

    def differs_from(self, tensor: Tensor | None) -> bool:
        """Return whether this is another tensor, or one written since; a view of it is not another."""
        if tensor is None:
            return False
        if self._tensor is None or self._tensor.data_ptr() != tensor.data_ptr():
            return True
        return self._version != (None if tensor.is_inference() else tensor._version)


_PRECISIONS = {False: torch.float32, True: torch.float64}


def _precision(dtype: torch.dtype) -> torch.dtype:
    return _PRECISIONS[dtype == torch.float64]


def _mean(values: list[float]) -> float:
    """Return the mean; of equal values that value itself, where (x + x + x) / 3 may be off by a rounding."""
    if len(set(values)) == 1:
        return values[0]
    return sum(values) / len(values)
