"""Loaded weights: find layers with trained weights, from another run or from this process."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.context_facts import PretrainedFact
from lightning_tricks.doctor.reading.measure_tensors import local_part
from lightning_tricks.doctor.reading.read_pretraining import looks_trained, read_pretraining

_WRITES = 25  # a constructor, a user-defined initializer and a broadcast write a few times; each step writes once
_ENOUGH = 256  # minimum number of values for a test of uniformity
_UNIFORM = 1.95  # the Kolmogorov-Smirnov distance times the root of the count, at a level of 0.001
_FROZEN = "its weights are frozen"


def find_loaded(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return the layers whose weights are worth keeping, each with the evidence.

    The evidence is the doctor's (``read_pretraining``); hundreds of writes in this process; values outside the range
    that PyTorch draws from, together with biases that differ from each other; and such a layer next to it in the same
    module, unless its own values match a PyTorch default or an initializer. Weights that training hardly changed cannot
    be distinguished from new ones.

    Args:
        model: any module.
        layers: its linear, convolutional and recurrent layers, by path.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        >>> find_loaded(model, dict(model.named_children()))
        {}
        >>> _ = model[0].weight.data.mul_(9.0)
        >>> find_loaded(model, dict(model.named_children()))
        {'0': 'its values lie beyond those that PyTorch draws', '1': 'the layers next to it were trained'}
    """
    parts = read_pretraining(model)
    some_are_new = _shows_new_parts(model, layers.values())
    found: dict[str, str] = {}
    for path, layer in layers.items():
        reason = _reason(path, layer, parts, some_are_new)
        if reason:
            found[path] = reason
    homes = {path.rpartition(".")[0] for path, reason in found.items() if reason != _FROZEN}
    for path, layer in layers.items():
        if path not in found and path.rpartition(".")[0] in homes and not _is_surely_new(layer):
            found[path] = "the layers next to it were trained"
    return found


def _reason(path: str, layer: nn.Module, parts: tuple[PretrainedFact, ...], some_are_new: bool) -> str:
    """Return the evidence that a layer was trained; empty if there is none."""
    for part in parts:
        if not part.module or f"{path}.".startswith(f"{part.module}."):
            return part.reason
    if any(weight._version > _WRITES for weight in _weights(layer)):
        return "it was trained in this process"
    biases = _biases(layer)
    is_suspect = not _are_constant(biases) if biases else not some_are_new and _verdict(layer) is None
    return "its values lie beyond those that PyTorch draws" if is_suspect and _is_beyond_default(layer) else ""


def _shows_new_parts(model: nn.Module, layers: Iterable[nn.Module]) -> bool:
    """Return whether some large weights look random, or a norm has its initial values."""
    norms = [module for module in model.modules() if "Norm" in type(module).__name__]
    vectors = [value.detach() for norm in norms for _, value in norm.named_parameters(recurse=False)]
    return any(value.numel() > 1 and _are_constant([value]) for value in vectors) or any(
        _verdict(layer) is False for layer in layers
    )


def _verdict(layer: nn.Module) -> bool | None:
    """Return the doctor's verdict on the first matrix of a layer; ``None`` if it is too small."""
    return next((looks_trained(weight) for weight in _weights(layer)), None)


def _weights(layer: nn.Module) -> list[Tensor]:
    return [value for name, value in layer.named_parameters(recurse=False) if name.startswith("weight")]


def _biases(layer: nn.Module) -> list[Tensor]:
    return [value for name, value in layer.named_parameters(recurse=False) if name.startswith("bias")]


def _are_constant(tensors: list[Tensor]) -> bool:
    """Return whether each tensor repeats one number, as biases do after an initializer; a single number must be 0."""
    values = [local_part(tensor).detach().float() for tensor in tensors]
    return all(
        float(value.max() - value.min()) == 0 and (value.numel() > 1 or float(value.max()) == 0)
        for value in values
        if value.numel()
    )


def _is_beyond_default(layer: nn.Module) -> bool:
    """Return whether a layer contains values outside the range of PyTorch's constructors."""
    numbers = [local_part(value).detach().float() for value in (*_weights(layer), *_biases(layer))]
    bound = _default_bound(layer) * (1 + 1e-3)
    return any(float(value.abs().max()) > bound for value in numbers if value.numel())


def _default_bound(layer: Any) -> float:
    size = getattr(layer, "hidden_size", None) or math.prod(layer.weight.shape[1:])
    return 1 / math.sqrt(size)


def _is_surely_new(layer: nn.Module) -> bool:
    """Return whether a layer's biases come from an initializer, or its weights have PyTorch's uniform distribution."""
    biases = _biases(layer)
    if biases and _are_constant(biases):
        return True
    values = torch.cat([local_part(weight).detach().float().flatten() for weight in _weights(layer)])
    if len(values) < _ENOUGH:
        return False
    ranks = torch.arange(1, len(values) + 1, device=values.device) / len(values)
    expected = (values.sort().values / _default_bound(layer)).clamp(-1, 1) / 2 + 0.5
    return float((expected - ranks).abs().max()) < _UNIFORM / math.sqrt(len(values))
