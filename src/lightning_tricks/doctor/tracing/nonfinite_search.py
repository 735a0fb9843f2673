"""Non-finite search: repeat a step with a non-finite result, and find the operation that produced the first NaN."""

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.doctor.facts.evidence import ErrorFact, StepFacts
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.reading.containers import tensors_in
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.nonfinite_watch import NonfiniteWatch, values_of
from lightning_tricks.doctor.tracing.one_pass import find_entry, find_loss
from lightning_tricks.doctor.tracing.stand_in import Step, stand_in_
from lightning_tricks.doctor.tracing.trace_step import StepSetup

_OF_NUMBERS = re.compile(r"\b(nan|inf|finite|constraint|invalid values)\b", re.IGNORECASE)


def is_suspect(step: StepFacts | None, error: ErrorFact | None) -> bool:
    """Return whether a step's loss or gradients are not finite, or it raised an error because of such numbers."""
    if error is not None:
        return bool(_OF_NUMBERS.search(error.message))
    if step is None:
        return False
    return (step.loss is not None and not math.isfinite(step.loss)) or any(each.nonfinite for each in step.gradients)


def search_nonfinite(setup: StepSetup, *, backward: bool = True) -> NumericFacts:
    """Run the step again and return where the first non-finite value was produced; the caller restores the model.

    The pass keeps and reads all of its tensors, which takes several times as long as the step.

    Args:
        setup: the model and its batch.
        backward: whether to run the backward pass of a finite loss as well.
    """
    setup.restore()
    model = setup.model
    for parameter in model.parameters():
        parameter.grad = None
    if not model.training:
        model.train()
    stack = ModuleStack(model)
    watch = NonfiniteWatch(stack)
    stand_in_(model, Step(setup.optimizers, setup.schedulers), setup.trainer)
    loss = None
    try:
        with ExitStack() as contexts:
            for context in (setup.context(), torch.enable_grad(), stack, watch):
                contexts.enter_context(context)
            entry = find_entry(model, setup.batch)
            returned = entry.call()
            loss = find_loss(entry, returned)
            if loss is None:  # as in the trace, the sum of the outputs replaces a missing loss
                loss = _sum(returned)
        is_finite = loss is not None and bool(torch.isfinite(loss.detach()).all())
        is_manual = getattr(model, "automatic_optimization", True) is False
        if backward and loss is not None and is_finite and loss.requires_grad and not is_manual:
            loss.float().mean().backward()  # type: ignore[no-untyped-call]
    except Exception:  # the model's own exception, which the trace has already reported
        return NumericFacts(watch.first_forward(None))
    if not is_finite:
        return NumericFacts(watch.first_forward(loss))
    return NumericFacts(None, watch.first_backward(), tuple(nonfinite_gradients(model)))


def _sum(returned: object) -> Tensor | None:
    parts = [each.float().sum() for each in tensors_in(returned) if each.is_floating_point() and each.requires_grad]
    return stack_tensors(parts).sum() if parts else None


def nonfinite_gradients(model: nn.Module) -> Iterator[str]:
    """Yield the names of the parameters whose gradients are not finite."""
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(values_of(parameter.grad)).all()):
            yield name
