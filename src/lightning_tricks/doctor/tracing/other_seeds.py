"""Other seeds: gradients of layers that the traced step skipped at random, as in stochastic depth."""

import random
from dataclasses import replace

import torch
from torch import nn

from lightning_tricks.doctor.facts.evidence import StepFacts
from lightning_tricks.doctor.tracing.one_pass import find_entry, find_loss
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import Patient

_SEEDS = (1, 2)


def with_gradients_of_other_seeds(patient: Patient, step: StepFacts) -> StepFacts:
    """Return the facts of a step with the gradients that missing parameters get with other random numbers.

    Args:
        patient: restored afterwards.
        step: facts of the traced step; those of manual optimization, and without any gradient, are returned unchanged.
    """
    for seed in _SEEDS:
        missing = {gradient.name for gradient in step.gradients if gradient.norm is None}
        if step.manual or not missing or len(missing) == len(step.gradients):
            return step
        patient.put_back()
        try:
            norms = _gradients(patient, seed)
        except Exception:  # raised by the model: a step may fail with another seed
            norms = {}
        patient.put_back()
        gradients = (replace(each, norm=norms.get(each.name)) if each.norm is None else each for each in step.gradients)
        step = replace(step, gradients=tuple(gradients))
    return step


def _gradients(patient: Patient, seed: int) -> dict[str, float]:
    """Run the step with a seed and return the norms of the available gradients."""
    model = patient.model
    _drop_gradients_(model)
    stand_in_(model, Step(patient.optimizers, patient.schedulers), patient.trainer)
    torch.manual_seed(seed)
    random.seed(seed)
    entry = find_entry(model, patient.batch)
    with patient.context(), torch.enable_grad():
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
