"""Examine: measure a model, its loaders and one batch, and leave all of them as they were."""

from typing import Any

from torch import nn

from lightning_tricks.doctor.evidence import Evidence, OptimizerFact
from lightning_tricks.doctor.read_data import first_loader, read_batch, read_loader
from lightning_tricks.doctor.read_model import read_model
from lightning_tricks.doctor.read_optimizers import read_optimizers, sort_out
from lightning_tricks.functional.object_memory import ObjectMemory, remember_random_state


def examine(
    model: nn.Module,
    batch: Any = None,
    *,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    optimizers: Any = None,
) -> Evidence:
    """Return all evidence that can be had.

    Args:
        model: any module.
        batch: what its ``training_step`` takes, else its ``forward``.
        train_dataloaders: what Lightning accepts; the first batch is drawn from the first one if ``batch`` is None.
        val_dataloaders: likewise, for static rules.
        optimizers: those of a Trainer; None builds them by ``configure_optimizers``.
    """
    missing: dict[str, str] = {}
    memory, put_back_random_state = ObjectMemory(), remember_random_state()
    memory.remember(model, train_dataloaders, tensors=False)
    try:
        train, val = first_loader(train_dataloaders), first_loader(val_dataloaders)
        if train is None:
            missing["train_loader"] = "no training loader was given"
        if val is None:
            missing["val_loader"] = "no validation loader was given"
        if batch is None:
            missing.update(dict.fromkeys(("batch", "trace", "step", "behaviour"), "no batch was given"))
        return Evidence(
            model=read_model(model),
            optimizers=_read_optimizers(model, optimizers, missing),
            train_loader=None if train is None else read_loader(train),
            val_loader=None if val is None else read_loader(val),
            batch=None if batch is None else read_batch(batch),
            missing=missing,
        )
    finally:
        memory.put_back_()
        put_back_random_state()


def _read_optimizers(model: Any, given: Any, missing: dict[str, str]) -> tuple[OptimizerFact, ...] | None:
    if given is not None:
        return read_optimizers(model, given)
    if not callable(getattr(model, "configure_optimizers", None)):
        missing["optimizers"] = "the model has no `configure_optimizers`"
        return None
    try:
        return read_optimizers(model, *sort_out(model.configure_optimizers()))
    except Exception as error:  # the user's own code may raise anything without a Trainer
        missing["optimizers"] = f"`configure_optimizers` raised {type(error).__name__}: {error}"
        return None
