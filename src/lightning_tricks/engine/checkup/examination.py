"""Examination: let process 0 examine the module of a run on a batch while the others wait, and restore the run."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer

from lightning_tricks.core.object_snapshot import remember_random_state
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.reading.read_test_set import test_loaders_of
from lightning_tricks.doctor.tracing.examine import examine
from lightning_tricks.engine.lr.lr_product import product_of
from lightning_tricks.engine.run.lightning_internals import (
    default_process_group,
    rebuild_ddp_wrapper,
    set_default_process_group,
)
from lightning_tricks.engine.run.ranks import SHARDING
from lightning_tricks.engine.run.run import strategy_is
from lightning_tricks.functional.resharding import reshard_

_Result = TypeVar("_Result")


def examine_on_rank_zero(
    trainer: Trainer, pl_module: LightningModule, batch: Any, failures: OwnFailures
) -> Evidence | None:
    """Return the evidence of a run's module on process 0; ``None`` on the others, which wait.

    After an exception on one process, no other process is left waiting: all reach the same barrier.

    Args:
        trainer: a fitting Trainer, before its first step in this process.
        pl_module: its module.
        batch: the batch of the first step, on its device; ``None`` if the module fetches its own or there is none.
        failures: collects exceptions.
    """

    def examine_now() -> Evidence | None:
        return failures.attempt("examine the model", lambda: examine_here(trainer, pl_module, batch), None)

    return act_on_rank_zero(trainer, pl_module, examine_now, failures)


def act_on_rank_zero(
    trainer: Trainer, pl_module: LightningModule, act: Callable[[], _Result], failures: OwnFailures
) -> _Result | None:
    """Return what process 0 finds by running the module; ``None`` on the others, which wait.

    Args:
        trainer: a Trainer that fits.
        pl_module: its module.
        act: runs steps and restores the module; it must not raise.
        failures: collects exceptions outside of the examination itself.
    """
    try:
        return _act_while_others_wait(trainer, pl_module, act, failures) if _is_shared(trainer) else act()
    finally:
        # backward passes outside of the wrapper have changed its record of the gradients
        failures.attempt("prepare the strategy's wrapper again", lambda: _rebuild_ddp_wrapper(trainer, pl_module), None)


def _rebuild_ddp_wrapper(trainer: Trainer, pl_module: LightningModule) -> None:
    if not why_not_traced(trainer, pl_module):
        rebuild_ddp_wrapper(trainer)


def _act_while_others_wait(
    trainer: Trainer, pl_module: LightningModule, act: Callable[[], _Result], failures: OwnFailures
) -> _Result | None:
    failures.attempt("reshard the model", lambda: reshard_(pl_module), None)
    alone = dist.new_group([0])
    try:
        if not trainer.is_global_zero:
            return None
        with only_member_of(alone):
            return act()
    finally:
        trainer.strategy.barrier("doctor")
        dist.destroy_process_group(alone)


def examine_here(trainer: Any, pl_module: LightningModule, batch: Any) -> Evidence:
    """Return the evidence of a run's module on this process only; without a batch no step is traced."""
    product = product_of(trainer)
    with _batch_as_it_is(pl_module):
        evidence = examine(
            pl_module,
            batch,
            train_dataloaders=trainer.train_dataloader,
            val_dataloaders=trainer.val_dataloaders,
            test_dataloaders=_test_loaders(trainer.datamodule or pl_module),
            optimizers=trainer.optimizers,
            peaks=product.group_base_lrs() if product is not None and product.has_started else (),
            context=trainer.precision_plugin.forward_context,
            not_traced=why_not_traced(trainer, pl_module) or ("" if batch is not None else "there was no batch"),
            is_drawn=True,
        )
    return replace(evidence, rates_measured_by=_measurer_of_rates(trainer))


def _measurer_of_rates(trainer: Any) -> str:
    """Return the name of the callback whose measured rate the run uses; empty if there is none."""
    for callback in trainer.callbacks:
        found = getattr(getattr(callback, "result", None), "suggestion", None)
        if getattr(callback, "apply", False) and found is not None:
            return type(callback).__name__
    return ""


def _test_loaders(owner: Any) -> Any:
    """Build the test loaders without consuming random numbers of the run."""
    restore = remember_random_state()
    try:
        return test_loaders_of(owner)
    finally:
        restore()


def broadcast_text(trainer: Trainer, text: str) -> str:
    """Return the text of process 0 on all processes."""
    return str(trainer.strategy.broadcast(text)) if _is_shared(trainer) else text


def why_not_traced(trainer: Trainer, pl_module: LightningModule) -> str:
    """Return why no step can be traced; empty if one can."""
    if strategy_is(trainer, *SHARDING):
        return f"not traced under {type(trainer.strategy).__name__}, where no process has the whole model"
    if "dataloader_iter" in inspect.signature(pl_module.training_step).parameters:
        return "not traced: `training_step` takes `dataloader_iter` and fetches its own batches"
    return ""


def _is_shared(trainer: Trainer) -> bool:
    return trainer.world_size > 1 and dist.is_available() and dist.is_initialized()


@contextmanager
def _batch_as_it_is(pl_module: Any) -> Iterator[None]:
    """Disable the transfer hooks of the module, which were already applied to the batch."""
    names = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
    own = {name: vars(pl_module)[name] for name in names if name in vars(pl_module)}
    vars(pl_module).update(dict.fromkeys(names, _unchanged))
    try:
        yield
    finally:
        for name in names:
            del vars(pl_module)[name]
        vars(pl_module).update(own)


def _unchanged(batch: Any, *_: Any) -> Any:
    return batch


@contextmanager
def only_member_of(group: Any) -> Iterator[None]:
    """Make a group the default of collective calls, so that a step gathers only from itself."""
    everyone = default_process_group()
    set_default_process_group(group)
    try:
        yield
    finally:
        set_default_process_group(everyone)
