"""Zero-grad watch: check whether gradients are zeroed between optimizer steps, without waiting for the device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer

Attempt = Callable[[Callable[[], None]], None]
"""Calls a part of the watch without letting its exceptions reach the user's step."""


class ZeroGradWatch:
    """Count, for each optimizer, the steps whose gradients still contained those of the previous step.

    Between two steps, the gradient must be None or zero before at least one backward pass. Accumulation over several
    passes therefore does not count, nor do gradients of another optimizer's loss that are zeroed later. Only the
    smallest parameter of each optimizer is checked, on its device.
    """

    def __init__(self, optimizers: Sequence[Optimizer], attempt: Attempt) -> None:
        self._watched = [_Watched(optimizer, attempt) for optimizer in optimizers]

    def take(self, trainer: Trainer) -> Tensor:
        """Return ``(O,)``, the number of such steps of each optimizer on this process."""
        device = trainer.strategy.root_device
        return torch.stack([watched.kept.to(device, torch.float32) for watched in self._watched])

    def close(self) -> None:
        """Remove all hooks."""
        for watched in self._watched:
            watched.close()


def join_kept(trainer: Trainer, taken: Tensor) -> tuple[int, ...]:
    """Return the optimizers of which two such steps were seen on any process; each of them has to call this."""
    everywhere: Any = trainer.strategy.reduce(taken, reduce_op="sum")
    return tuple(index for index, count in enumerate(everywhere.tolist()) if count >= 2)


class _Watched:
    def __init__(self, optimizer: Optimizer, attempt: Attempt) -> None:
        held = [
            parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.requires_grad
        ]
        self._stepped = False
        self._was_zero: Tensor | None = None
        self._handles: list[Any] = []
        self.kept = torch.zeros((), dtype=torch.int64)
        if held and hasattr(optimizer, "register_step_post_hook"):  # an engine's wrapper does not have it
            self._parameter = min(held, key=torch.Tensor.numel)
            self.kept = self.kept.to(self._parameter.device)
            self._handles = [
                self._parameter.register_hook(lambda grad: attempt(lambda: self._before_accumulation(grad))),
                optimizer.register_step_post_hook(lambda *_: attempt(self._after_step)),
            ]

    def _before_accumulation(self, gradient: Tensor) -> None:
        """Check the old gradient before a new one is added."""
        there = self._parameter.grad
        if there is None or there.layout != torch.strided:
            zero = torch.ones_like(self.kept, dtype=torch.bool)
        else:
            zero = (there == 0).all()
        self._was_zero = zero if self._was_zero is None else self._was_zero | zero

    def _after_step(self) -> None:
        if self._stepped and self._was_zero is not None:
            self.kept += ~self._was_zero
        self._stepped, self._was_zero = True, None

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
