"""Polynomial averaging: average the weights over the last part of the training so far, whatever its length.

Import this module only where :data:`~lightning_tricks.engine.watch.average_weights.IS_KNOWN`: the callback of Lightning
that it extends came with version 2.6.
"""

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from lightning_tricks.engine.run.ranks import SHARDING
from lightning_tricks.engine.run.run import strategy_is

_POWER = 8.0


def average_(averages: list[Tensor], current: list[Tensor], count: int) -> None:
    r"""Add the next weights to the polynomial-decay average of all weights so far, in place.

    .. math:: \bar w_n = \bar w_{n-1} + \frac{\gamma + 1}{n + \gamma} (w_n - \bar w_{n-1}), \quad \gamma = 8

    The weights of step :math:`i` count in proportion to :math:`i^\gamma`: about the last ninth of the steps, after ten
    steps as after a million. An exponential average needs a decay that suits the length of the run.

    Args:
        averages: the averages of ``count`` weights.
        current: the next weights, of the same shapes.
        count: how many weights are averaged so far.

    References:
        Shamir & Zhang, Stochastic Gradient Descent for Non-smooth Optimization, 2013, section 4.

    Example:
        >>> average = torch.tensor([1.0])
        >>> average_([average], [torch.tensor([3.0])], count=9)
        >>> average
        tensor([2.])
    """
    torch._foreach_lerp_(averages, current, (_POWER + 1) / (count + 1 + _POWER))


class PolynomialAveraging(WeightAveraging):
    """Validate with averaged weights, and end with them: Lightning's ``WeightAveraging`` with :func:`average_`.

    Checkpoints are those of Lightning's callback: ``state_dict`` holds the average, ``current_model_state`` the weights
    that training continues from. Where a model cannot be copied whole (sharded, or built in ``configure_model``),
    nothing is averaged, and the log states this.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the model when a fit begins, if it can be copied."""
        if stage != "fit":
            return
        self._average_model, reason = None, _obstacle(trainer, pl_module)
        self._latest_update_step = self._count = 0
        if reason is None:
            try:
                self._average_model = AveragedModel(pl_module, use_buffers=True)
                if trainer.precision == "64-true":  # the module itself is converted later
                    self._average_model.double()
            except Exception as error:  # an attribute of the module that cannot be copied may raise anything
                reason = f"the module cannot be copied ({type(error).__name__}: {error})"
        if reason is not None:
            rank_zero_info(f"The weights are not averaged: {reason}.")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the model to its device."""
        if self._average_model is not None:
            self._average_model.to(pl_module.device)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Add the weights of a step; stop averaging if the module's tensors have changed their shape or number."""
        if self._average_model is None or trainer.global_step <= self._latest_update_step:
            return
        ours, theirs = self._tensors(pl_module)
        if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
            self._average_model = None
            rank_zero_warn(
                "The weights are not averaged any more: the number or the shapes of the module's parameters and "
                "buffers have changed during training. `auto_tricks(average=False)` disables this warning."
            )
            return
        self._add(zip(ours, theirs, strict=True))
        self._average_model.n_averaged += 1  # for checkpoints; reading it would wait for the device
        self._count += 1
        self._latest_update_step = trainer.global_step

    def _add(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Add the weights of a step to the averages; counters are copied.

        Of weights in half precision (``"bf16-true"``), the averages stay as the module was built, usually in float32,
        where the small weight of the next step is not lost.
        """
        means: tuple[list[Tensor], list[Tensor]] = ([], [])
        for average, current in pairs:
            if self._count and (average.is_floating_point() or average.is_complex()):
                means[0].append(average)
                means[1].append(current.to(average.dtype))
            else:
                average.copy_(current)
        if means[0]:
            average_(*means, self._count)

    def _tensors(self, pl_module: LightningModule) -> tuple[list[Tensor], list[Tensor]]:
        """Return the averaged and the current tensors."""
        assert self._average_model is not None
        modules = (self._average_model.module, pl_module)
        ours, theirs = ([each.data for each in (*model.parameters(), *model.buffers())] for model in modules)
        return ours, theirs

    def _pairs(self, pl_module: LightningModule) -> list[tuple[Tensor, Tensor]]:
        """Return the averaged and the current tensors; a buffer that has just grown is left out."""
        both = zip(*self._tensors(pl_module), strict=False)
        return [(average, current) for average, current in both if average.shape == current.shape]

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exchange the weights of the model and the average."""
        if self._average_model is not None:
            for average, current in self._pairs(pl_module):
                kept = average.clone()
                average.copy_(current)
                current.copy_(kept)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exchange them again."""
        self.on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the average into the model."""
        if self._average_model is not None:
            for average, current in self._pairs(pl_module):
                current.copy_(average)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the state of the model."""
        if self._average_model is not None:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Load the average, and the weights that training continues from."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
            self._count = int(self._average_model.n_averaged)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _obstacle(trainer: Any, pl_module: Any) -> str | None:
    """Return why the model cannot be copied whole, ``None`` if it can."""
    if strategy_is(trainer, *SHARDING):
        return f"{type(trainer.strategy).__name__} shards the model"
    if type(pl_module).configure_model.__qualname__ != "ModelHooks.configure_model":
        return "the module is built in `configure_model`, after the average would be"
    if any(is_lazy(parameter) for parameter in pl_module.parameters()):
        return "the module has uninitialized parameters"
    return None
