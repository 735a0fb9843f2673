"""Validation facts: what a watch reads of the validations of a fit."""

import math

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

_VAL_LOSSES = frozenset(
    f"{part}{mark}loss" for part in ("val", "valid", "validation", "eval", "dev") for mark in ("_", "/", ".", "-")
)


def is_watched_validation(trainer: Trainer) -> bool:
    """Return whether this is a validation of the fit that runs on every process."""
    owners = (trainer.lightning_module, trainer.datamodule)  # type: ignore[attr-defined]
    some_skip = any(getattr(owner, "allow_zero_length_dataloader_with_multiple_devices", False) for owner in owners)
    is_of_fit = trainer.state.fn == "fit" and not trainer.sanity_checking
    return is_of_fit and not (some_skip and trainer.world_size > 1)


def modules_in_training_mode(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that behave as in training."""
    return tuple(name for name, module in model.named_modules() if _trains(module))


def _trains(module: nn.Module) -> bool:
    is_active = isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
    return is_active and module.training


def validation_loss(trainer: Trainer) -> Tensor:
    """Return ``()``, the only metric of this process with the name of a validation loss; NaN if there is none."""
    found: list[Tensor] = [value for name, value in trainer.callback_metrics.items() if name.lower() in _VAL_LOSSES]
    value = found[0].detach().float().mean() if len(found) == 1 else torch.tensor(math.nan)
    return value.to(trainer.strategy.root_device)
