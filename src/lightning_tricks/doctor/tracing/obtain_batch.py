"""Obtain a batch: get the loaders of a data module, read the first batch, and transfer it as Lightning does."""

from typing import Any

import torch
from torch import nn

from lightning_tricks.doctor.facts.evidence import ErrorFact
from lightning_tricks.doctor.reading.containers import move
from lightning_tricks.doctor.reading.read_data import first_batch
from lightning_tricks.doctor.tracing.one_pass import describe_error, is_lightning_default


def loaders_of(datamodule: Any, trainer: Any) -> tuple[Any, Any, ErrorFact | None]:
    """Return a data module's training and validation loaders, ``None`` for a hook that it does not define.

    Args:
        datamodule: a LightningDataModule, or any object with its hooks.
        trainer: its Trainer during the call.
    """
    known = vars(datamodule).get("trainer")
    try:
        if hasattr(datamodule, "trainer"):
            datamodule.trainer = known or trainer
        _call(datamodule, "prepare_data")
        _call(datamodule, "setup", "fit")
        return _call(datamodule, "train_dataloader"), _call(datamodule, "val_dataloader"), None
    except Exception as error:  # user code
        return None, None, describe_error(error, "the data module", "")
    finally:
        if hasattr(datamodule, "trainer"):
            datamodule.trainer = known


def _call(holder: Any, name: str, *arguments: Any) -> Any:
    hook = getattr(holder, name, None)
    return hook(*arguments) if callable(hook) and not is_lightning_default(hook) else None


def draw(loaders: Any) -> tuple[Any, ErrorFact | None]:
    """Return the first batch, or the reason why there is none."""
    try:
        return first_batch(loaders), None
    except StopIteration:
        return None, ErrorFact("the training loader", "StopIteration", "it has no batch", "", "", 0, "")
    except Exception as error:  # the dataset's own exception
        return None, describe_error(error, "the training loader", "")


def bring_to_model(batch: Any, model: nn.Module, datamodule: Any = None) -> Any:
    """Return a batch as ``training_step`` receives it: after the transfer hooks, on the model's device."""
    device = _device_of(model)
    for name in ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"):
        hook = _hook(datamodule, name) or _hook(model, name)
        if name == "transfer_batch_to_device":
            batch = hook(batch, device, 0) if hook is not None else move(batch, device)
        elif hook is not None:
            batch = hook(batch, 0)
    return batch


def _hook(holder: Any, name: str) -> Any:
    hook = getattr(holder, name, None)
    return hook if callable(hook) and not is_lightning_default(hook) else None


def _device_of(model: nn.Module) -> torch.device:
    first = next(iter(model.parameters()), None)
    return torch.device("cpu") if first is None else first.device
