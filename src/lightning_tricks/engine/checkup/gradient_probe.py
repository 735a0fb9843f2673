"""Gradient probe: a callback before all others that receives the optimizer of each step before any clipping."""

from collections.abc import Callable

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer


class GradientProbe(Callback):
    """Call a function in ``on_before_optimizer_step``.

    Args:
        call: the function to call with the optimizer.
    """

    only_looks = True  # trial steps do not call it

    def __init__(self, call: Callable[[Optimizer], None]) -> None:
        self._call = call

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._call(optimizer)
