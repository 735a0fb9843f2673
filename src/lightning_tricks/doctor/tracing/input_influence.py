"""Input influence: which inputs of a model, and which of their features, change any of its outputs in eval mode."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.influence_facts import InfluenceFact, InfluenceFacts
from lightning_tricks.doctor.reading.containers import (
    changeable_tensors_in,
    tensors_in,
    walk_batch,
    with_tensors_changed,
)
from lightning_tricks.doctor.tracing.calibrate_norms import calibrate_norms_
from lightning_tricks.doctor.tracing.custom_gradients import check_functions, noting_functions

Run = Callable[[Tensor | None, Tensor | None], list[Tensor]]

_FEWEST, _NOISE = 4, 0.02


def measure_influence(
    model: nn.Module, calls: Mapping[str, tuple[Any, Any]], batch: Any, size: int | None, path: str
) -> InfluenceFacts | str:
    """Return which parts of each input change an output, or why this is unknown; the caller restores the model.

    Floating-point features are measured by gradients, ids and masks by shifting them by one sample. Features that seem
    to be ignored are changed by a large amount, and again with noise on all weights, which opens layers and gates that
    start at zero.

    Args:
        model: it is left in eval mode, possibly with other weights and statistics.
        calls: the arguments of the calls of its parts.
        batch: provides the names of the inputs.
        size: the number of samples.
        path: the path of the part to examine.
    """
    if path not in calls or size is None or size < _FEWEST:
        return "fewer than four samples, or a step that calls no module"
    args, kwargs = calls[path]
    target = model.get_submodule(path)
    names = {id(leaf): place for place, leaf in walk_batch(batch)} | _arguments(kwargs)
    given = [
        each for each in dict.fromkeys(changeable_tensors_in((args, kwargs))) if each.dim() and each.shape[0] == size
    ]

    def run(old: Tensor | None = None, new: Tensor | None = None) -> list[Tensor]:
        changed = with_tensors_changed((args, kwargs), lambda item: new if item is old and new is not None else item)
        return [each.float() for each in tensors_in(target(*changed[0], **changed[1])) if each.is_floating_point()]

    model.eval()
    with torch.enable_grad():
        with torch.no_grad():
            calibrate_norms_(model, run)
        functions: dict[type, tuple[Any, ...]] = {}
        with noting_functions(functions):
            first = run()
        gradients = check_functions(functions)
        if not all(torch.equal(a, b) for a, b in zip(first, run(), strict=False)):
            return "two passes in eval mode differ"
        suspects = {id(each): found for each in given if (found := _ignored(run, each, first))}
        for seed in (0, 1) if suspects else ():
            _add_noise_(model, seed)
            first = run()
            suspects = {key: left for each in given if (key := id(each)) in suspects
                        and (left := [i for i in _ignored(run, each, first) if i in suspects[key]])}  # fmt: skip
    direct = {id(value) for value in (*args, *kwargs.values())}
    facts = (
        InfluenceFact(names.get(key := id(each), "?"), _features(each), tuple(suspects.get(key, ())), key not in direct)
        for each in given
    )
    return InfluenceFacts(path, tuple(facts), gradients)


def _arguments(kwargs: Any) -> dict[int, str]:
    """Return the names of tensors passed by keyword."""
    return {id(value): name for name, value in kwargs.items() if isinstance(value, Tensor)}


def _features(tensor: Tensor) -> int:
    if not tensor.is_floating_point() or tensor.dim() < 2:
        return 1
    return tensor.shape[1] if tensor.dim() > 3 else tensor.shape[-1]


def _ignored(run: Run, tensor: Tensor, first: list[Tensor]) -> list[int]:
    """Return the features of an input that change no output, neither by their gradient nor with another value."""
    if not bool((tensor != tensor[:1]).any()):
        return []  # all samples are equal
    if not tensor.is_floating_point():
        return [] if _differ(run(tensor, tensor.roll(1, 0)), first) else [0]
    leaf = tensor.detach().clone().requires_grad_(True)
    outputs = [each for each in run(tensor, leaf) if each.requires_grad]
    gradient = torch.autograd.grad(_root(outputs), leaf, allow_unused=True)[0] if outputs else None
    dim = 1 if tensor.dim() > 3 else tensor.dim() - 1
    others = tuple(each for each in range(tensor.dim()) if each != dim)
    flat = torch.zeros(_features(tensor)) if gradient is None else gradient.abs().sum(others) if tensor.dim() > 1 else (
        gradient.abs().sum()[None])  # fmt: skip
    varies = (tensor != tensor[:1]).any(0).flatten(0).reshape(-1) if tensor.dim() == 2 else torch.ones(len(flat)).bool()
    silent = [i for i in range(len(flat)) if not float(flat[i]) and bool(varies[i])]
    if not silent:
        return []
    try:
        after = run(tensor, _changed(tensor, silent, dim))
    except (IndexError, RuntimeError, ValueError):  # a column of ids: a module that rejects other values reads it
        return []
    return [] if _differ(after, first) else silent


def _root(outputs: list[Tensor]) -> Tensor:
    """Return one number in which outputs do not cancel, as the sum of a softmax would."""
    weights = (torch.linspace(0.5, 1.5, each.numel(), device=each.device).view(each.shape) for each in outputs)
    return torch.stack([(each * weight).sum() for each, weight in zip(outputs, weights, strict=True)]).sum()


def _changed(tensor: Tensor, features: list[int], dim: int) -> Tensor:
    """Return an input with larger values in some features, because a maximum may have ignored the old ones."""
    new = tensor.detach().clone()
    if tensor.dim() < 2:
        return new.roll(1, 0) * 3
    place = torch.tensor(features, device=tensor.device)
    part = new.index_select(dim, place)
    return new.index_copy(dim, place, part.roll(1, 0) + 10 * part.std().clamp_min(1.0))


def _differ(outputs: list[Tensor], first: list[Tensor]) -> bool:
    pairs = zip(outputs, first, strict=False)
    return any(
        a.shape != b.shape or not torch.equal(a.detach().nan_to_num(), b.detach().nan_to_num()) for a, b in pairs
    )


def _add_noise_(model: nn.Module, seed: int) -> None:
    """Add noise to all weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in _floats(model):
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(noise * (_NOISE + 0.1 * float(parameter.detach().float().std(correction=0))))


def _floats(model: nn.Module) -> Iterator[nn.Parameter]:
    return (each for each in model.parameters() if each.is_floating_point() and not nn.parameter.is_lazy(each))
