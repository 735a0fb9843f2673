"""Loss watch: keep the loss of every batch on its device, and read many at once."""

import math
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from lightning_tricks.core.step_output import returned_loss


class Losses(NamedTuple):
    """Losses of consecutive batches, the same on every process.

    Attributes:
        values: means over the processes that have a loss.
        first_bad_step: the first step whose loss was not finite on some process.
    """

    values: list[float]
    first_bad_step: int | None


class KeptLosses(NamedTuple):
    """The losses that one process has kept of consecutive batches.

    Attributes:
        steps: for each batch, its step.
        parts: the number of batches per step.
        values: ``(N,)`` losses; 0 for a batch without a loss.
        counts: 1 for each batch that has a loss, else 0.
    """

    steps: list[int]
    parts: int
    values: Tensor
    counts: list[float]


class LossWatch:
    """The losses of the batches since the last reading.

    Nothing waits for the device before a reading. All processes read together, after the same number of batches.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor | None] = []
        self._steps: list[int] = []

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, step: int, outputs: Any) -> None:
        """Keep the loss of a batch, if it has one, with the number of steps after it."""
        loss = returned_loss(outputs)
        self._losses.append(None if loss is None else loss.detach())
        self._steps.append(step)

    def take(self, trainer: Trainer) -> KeptLosses:
        """Return the losses kept on this process, and clear them."""
        counts = [float(loss is not None) for loss in self._losses]
        values = _stack(self._losses, trainer.strategy.root_device) if counts else torch.zeros(0)
        # Lightning divides the loss in `outputs` by the number of accumulated batches
        parts = trainer.accumulate_grad_batches if trainer.lightning_module.automatic_optimization else 1
        taken = KeptLosses(self._steps, parts, values, counts)
        self._losses, self._steps = [], []
        return taken

    def plain_state(self) -> list[list[float | None]]:
        """Return the kept losses; synchronizes with the device."""
        values: list[float] = _stack(self._losses, torch.device("cpu")).tolist() if self._losses else []
        kept = zip(self._steps, self._losses, values, strict=True)
        return [[step, None if loss is None else value] for step, loss, value in kept]

    def load(self, plain: list[list[Any]]) -> None:
        """Load the result of :meth:`plain_state`."""
        self._steps = [step for step, _ in plain]
        self._losses = [None if value is None else torch.tensor(float(value)) for _, value in plain]


def join_losses(trainer: Trainer, taken: KeptLosses) -> Losses:
    """Return the losses of all processes; each of them has to call this."""
    values, counts = _sum(trainer, taken)
    batches = [batch for batch in zip(taken.steps, values, counts, strict=True) if batch[2]]
    bad = (step for step, value, _ in batches if not math.isfinite(value))
    return Losses([taken.parts * value / count for _, value, count in batches], next(bad, None))


def _sum(trainer: Trainer, taken: KeptLosses) -> tuple[list[float], list[float]]:
    """Return, for each batch, the sum of its losses over the processes, and how many of them have one."""
    if trainer.world_size == 1 or not taken.counts:
        return taken.values.tolist(), taken.counts
    counts = torch.tensor(taken.counts, device=taken.values.device)
    both: Any = trainer.strategy.reduce(torch.stack([taken.values, counts]), reduce_op="sum")
    found: list[list[float]] = both.tolist()
    return found[0], found[1]


def _stack(losses: list[Tensor | None], device: torch.device) -> Tensor:
    """Return ``(N,)`` losses; 0 where there is none."""
    zero = torch.zeros((), device=next((loss.device for loss in losses if loss is not None), device))
    given = [zero if loss is None else loss.sum() if loss.ndim else loss for loss in losses]
    return torch.stack([loss.to(zero.device, torch.float32) for loss in given]).to(device)
