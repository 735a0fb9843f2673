"""Other seeds: gradients of layers that the traced step skipped at random, as in stochastic depth."""

from dataclasses import replace

import torch
from torch import nn

from lightning_tricks.core.object_snapshot import seed_random_state
from lightning_tricks.doctor.facts.evidence import StepFacts
from lightning_tricks.doctor.tracing.one_pass import find_entry, find_loss
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import StepSetup

_SEEDS = (1, 2)


def with_gradients_of_other_seeds(setup: StepSetup, step: StepFacts) -> StepFacts:
    """Return the facts of a step with the gradients that missing parameters get with other random numbers.

    Args:
        setup: the model and its batch; restored afterwards.
        step: facts of the traced step; those of manual optimization, and without any gradient, are returned unchanged.
    """
    for seed in _SEEDS:
        missing = {gradient.name for gradient in step.gradients if gradient.norm is None}
        if step.manual or not missing or len(missing) == len(step.gradients):
            return step
        setup.restore()
        try:
            norms = _gradients(setup, seed)
        except Exception:  # raised by the model; a step may fail with another seed
            norms = {}
        setup.restore()
        gradients = (replace(each, norm=norms.get(each.name)) if each.norm is None else each for each in step.gradients)
        step = replace(step, gradients=tuple(gradients))
    return step


def _gradients(setup: StepSetup, seed: int) -> dict[str, float]:
    """Run the step with a seed and return the norms of the existing gradients."""
    model = setup.model
    _drop_gradients_(model)
    stand_in_(model, Step(setup.optimizers, setup.schedulers), setup.trainer)
    seed_random_state(seed)
    entry = find_entry(model, setup.batch)
    with setup.context(), torch.enable_grad():
        loss = find_loss(entry, entry.call())
        if loss is None or not loss.requires_grad:
            return {}
        loss.float().mean().backward()  # type: ignore[no-untyped-call]
    return {
        name: float(parameter.grad.detach().float().norm())
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not parameter.grad.is_sparse
    }


def _drop_gradients_(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = None
