"""Eval passes: what the outputs do when nothing, everything, or one sample of the inputs changes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.evidence import BehaviourFacts
from lightning_tricks.doctor.interventions import Listener
from lightning_tricks.doctor.module_stack import ModuleStack
from lightning_tricks.doctor.one_pass import find_entry
from lightning_tricks.doctor.recorder import tensors_in

Change = Callable[[Tensor], Tensor]

# relative: what rounding does
_EQUAL = 1e-6


def observe_behaviour(model: nn.Module, batch: Any, call: tuple[Any, Any] | None, size: int | None) -> BehaviourFacts:
    """Run a model in eval mode a few times and compare its outputs.

    Args:
        model: it is left in eval mode.
        batch: for a model whose ``forward`` is not called by its ``training_step``.
        call: the arguments with which it was.
        size: the number of samples in the batch, where it is known.
    """
    if call is None and hasattr(model, "training_step"):
        return BehaviourFacts(reason="`training_step` does not call `forward`")
    args, kwargs = call if call is not None else ((), {})

    def outputs(change: Change | None = None) -> list[Tensor]:
        if call is None:
            returned = find_entry(model, _changed(batch, change)).call()
        else:
            returned = model(*_changed(args, change), **_changed(kwargs, change))
        return [one.detach().float() for one in tensors_in(returned) if one.is_floating_point() and one.dim()]

    inputs = list(tensors_in((args, kwargs, batch if call is None else None)))
    model.eval()
    stack = ModuleStack(model)
    # all passes in the same way: some modules take a faster one where nobody listens, and round otherwise
    with torch.no_grad(), stack, Listener(stack) as listener:
        first = outputs()
        facts = BehaviourFacts(
            repeat_change=_change(first, outputs()),
            always_on=tuple(dict.fromkeys(listener.dropouts)),
            random=tuple(dict.fromkeys(listener.random)),
        )
        if not first or not size or size < 2:
            return _with(facts, reason="the batch has fewer than two samples, or their number is not known")
        if (facts.repeat_change or 0) > _EQUAL:
            return _with(facts, reason="two passes in eval mode differ")
        if not any(_is_per_sample(one, size) and not torch.equal(one, one.roll(1, 0)) for one in inputs):
            return _with(facts, reason="all samples of the batch are equal")
        rolled = _change(first, outputs(lambda one: one.roll(1, 0) if _is_per_sample(one, size) else one))
        per_sample = [i for i, one in enumerate(first) if _is_per_sample(one, size) and one.shape[1:2] != (size,)]
        if not per_sample:
            return _with(facts, input_change=rolled, reason="no output has a row for each sample")
        second = outputs(lambda one: _with_first_replaced(one) if _is_per_sample(one, size) else one)
        mixing = _change([first[i][1:] for i in per_sample], [second[i][1:] for i in per_sample])
        return _with(facts, input_change=rolled, mixing_change=mixing)


def _with(facts: BehaviourFacts, **changes: Any) -> BehaviourFacts:
    return BehaviourFacts(**{**vars(facts), **changes})


def _changed(value: Any, change: Change | None) -> Any:
    if change is None:
        return value
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_changed(one, change) for one in value))
    if type(value) in (tuple, list):
        return type(value)(_changed(one, change) for one in value)
    if hasattr(value, "keys") and hasattr(value, "items"):
        return {key: _changed(one, change) for key, one in value.items()}
    return value


def _is_per_sample(tensor: Tensor, size: int) -> bool:
    return tensor.dim() > 0 and tensor.shape[0] == size


def _with_first_replaced(tensor: Tensor) -> Tensor:
    """Return the batch with the second sample in the place of the first: whatever the numbers mean, it is valid."""
    tensor = tensor.clone()
    tensor[0] = tensor[1]
    return tensor


def _change(before: list[Tensor], after: list[Tensor]) -> float | None:
    """Return the largest difference relative to the size of the outputs."""
    pairs = [(a, b) for a, b in zip(before, after, strict=False) if a.shape == b.shape and a.numel()]
    if not pairs:
        return None
    return max(float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)
