"""Trace gains: trace one training step to find the activation after each layer, without changing the model."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.facts.followers import count_residual_sums, followers_of
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.facts.trace_facts import TraceFacts
from lightning_tricks.doctor.tracing.lazy_memory import remember_lazy
from lightning_tricks.doctor.tracing.obtain_batch import bring_to_model
from lightning_tricks.doctor.tracing.single_process import single_process
from lightning_tricks.doctor.tracing.trace_step import StepSetup, trace_step
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.doctor.tracing.without_compile import without_compile
from lightning_tricks.functional.initial_weights import activation_gain

Context = Callable[[], AbstractContextManager[Any]]


@contextmanager
def restored_setup(
    model: nn.Module, batch: Any, optimizers: Sequence[Any] = (), context: Context = nullcontext
) -> Iterator[StepSetup]:
    """Yield a model and its batch to run steps on; afterwards the model, the batch and the generators are restored."""
    memory, put_back_random, put_back_lazy = ObjectSnapshot(), remember_random_state(), remember_lazy(model)
    memory.remember(model, batch)

    def put_back() -> None:
        put_back_lazy()
        memory.restore_()
        put_back_random()

    trainer = TrainerStandIn(getattr(model, "_trainer", None), None, model)
    if optimizers:
        trainer.answer(optimizers=list(optimizers), lr_scheduler_configs=[])
    try:
        with without_compile(), single_process(), torch.inference_mode(False):
            yield StepSetup(model, batch, optimizers, (), trainer, put_back, context)
    finally:
        put_back()


def trace(setup: StepSetup) -> TraceFacts | None:
    """Return the operations of one step; ``None`` if it cannot be traced."""
    return trace_step(setup, OwnFailures()).trace


def traced_gains(facts: TraceFacts, names: Iterable[str]) -> dict[str, float]:
    r"""Return the gain of each weight that a step used.

    The gain is that of the activation after the layer, or 1 if there is none (before the loss or another layer). A
    weight with several activations, because it is tied or shared, gets the smallest gain. The last layer of each of
    :math:`L` residual branches is divided by :math:`\sqrt L`, so that their sum keeps its scale.

    Args:
        facts: the facts of the step.
        names: the names of the weights.

    References:
        Radford et al., Language models are unsupervised multitask learners, 2019, section 2.3.
    """
    graph = Graph(facts)
    residual = 1 / math.sqrt(max(1, count_residual_sums(graph)))
    found = {}
    for name in names:
        followers = followers_of(graph, name)
        if followers.calls:
            gains = [activation_gain(activation, slope) for activation, slope in followers.activations]
            found[name] = min(gains) * (residual if followers.ends_residual else 1.0)
    return found


def on_the_models_device(model: nn.Module, batch: Any) -> Any:
    """Return a batch as the model's ``training_step`` receives it."""
    return bring_to_model(batch, model)
