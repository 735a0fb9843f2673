"""Nonfinite rerun: if a step of a run becomes NaN, run it again before the optimizer step, and name the operation."""

import cmath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.tracing.nonfinite_search import search_nonfinite
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.trace_step import StepSetup
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.doctor.tracing.without_compile import without_compile
from lightning_tricks.engine.checkup.examination import only_member_of, why_not_traced
from lightning_tricks.engine.run.ranks import gather_objects
from lightning_tricks.engine.run.run import run_of


class NonfiniteRerun:
    """Watch the loss and one gradient of every batch, and examine the first non-finite one again.

    Only on a CPU, where reading a number requires no synchronization, and under automatic optimization. The weights are
    still those with which the batch was run. Of several processes, only those whose own loss is not finite run their
    batch again, without a backward pass, which would use the hooks of the strategy's wrapper.

    Attributes:
        is_over: whether no further batch is watched.
        found: what one of several processes has found.
        loss: the loss of the current batch, until its backward pass has ended.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.found: NumericFacts | None = None
        self.loss: Tensor | None = None
        self._probes: list[nn.Parameter] | None = None

    def after_backward(self, trainer: Trainer, pl_module: LightningModule) -> NumericFacts | None:
        """Run the batch again if its loss or gradients are not finite, and return what is found.

        One of several processes keeps it instead, until :func:`join_found`, so that all have the same facts.
        """
        loss, self.loss = self.loss, None
        if self._probes is None:
            self.is_over = self.is_over or not _can_rerun(trainer, pl_module)
            # the gradients of several processes have been averaged, so that they are NaN on all of them
            self._probes = _small_early_parameters(pl_module) if trainer.world_size == 1 else []
        if loss is None or self.is_over or _is_finite(loss, self._probes):
            return None
        self.is_over = True
        run = run_of(trainer)
        found = _rerun(trainer, pl_module, run.batch) if run is not None else NumericFacts()
        if not found.forward and not found.parameters:
            return None
        found = replace(found, step=trainer.global_step + 1)
        if trainer.world_size == 1:
            return found
        self.found = replace(found, rank=trainer.global_rank)
        return None

    def release(self) -> None:
        """Release the loss and the parameters."""
        self.loss, self._probes = None, None


def join_found(trainer: Trainer, watch: NonfiniteRerun) -> NumericFacts | None:
    """Return what was found at the earliest step on any of several processes; each of them must call this."""
    everyone: list[NumericFacts | None] = gather_objects(watch.found) if trainer.world_size > 1 else []
    return min(filter(None, everyone), key=lambda found: found.step or 0, default=None)


def _can_rerun(trainer: Trainer, pl_module: LightningModule) -> bool:
    return (
        pl_module.device.type == "cpu" and pl_module.automatic_optimization and not why_not_traced(trainer, pl_module)
    )


def _small_early_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the smaller ones of the parameters registered first, which NaN values of a backward pass reach."""
    trainable = [each for each in model.parameters() if each.requires_grad and not nn.parameter.is_lazy(each)]
    return sorted(trainable[:6], key=torch.Tensor.numel)[:2]


def _is_finite(loss: Tensor, parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether a loss and the first gradient that there is are finite, reading CPU memory directly."""
    total: Any = loss.sum() if loss.dim() else loss
    if not cmath.isfinite(total.tolist()):
        return False
    for each in parameters:
        grad = each.grad
        if grad is not None and grad.layout is torch.strided:
            total = grad.sum()  # after a backward pass, each operation costs about 20 µs
            return cmath.isfinite(total.tolist())
    return True


def _rerun(trainer: Trainer, pl_module: LightningModule, batch: Any) -> NumericFacts:
    memory, restore_random_state = ObjectSnapshot(), remember_random_state()
    memory.remember(pl_module, batch)

    def restore() -> None:
        memory.restore_()
        restore_random_state()

    context = trainer.precision_plugin.forward_context
    setup = StepSetup(pl_module, batch, trainer.optimizers, (), TrainerStandIn(trainer), restore, context)
    try:
        with _alone(trainer), without_compile(), single_process(), torch.inference_mode(False):
            return search_nonfinite(setup, backward=trainer.world_size == 1)
    finally:
        restore()


@contextmanager
def _alone(trainer: Trainer) -> Iterator[None]:
    """While entered, collective calls of this process wait for no other one."""
    if trainer.world_size == 1 or not (dist.is_available() and dist.is_initialized()):
        yield
        return
    group = dist.new_group([dist.get_rank()], use_local_synchronization=True)
    try:
        with only_member_of(group):
            yield
    finally:
        dist.destroy_process_group(group)
