"""Loaded weights: find layers whose weights were trained before, in another run or in this process."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_tricks.doctor.reading.measure_tensors import local_part
from lightning_tricks.doctor.reading.read_pretraining import looks_trained, read_pretraining

_WRITES = 25  # a constructor, an initializer of the user's and a broadcast write a few times; each step writes once


def find_loaded(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return the layers whose weights are worth keeping, each with the evidence.

    The evidence is the doctor's (``read_pretraining``) and, for weights that are too small for it, values beyond
    PyTorch's default next to biases that differ from each other. Small weights that earlier training hardly moved
    cannot be told from new ones.

    Args:
        model: any module.
        layers: linear, convolutional and recurrent layers of it, by path.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        >>> find_loaded(model, dict(model.named_children()))
        {}
        >>> _ = model[0].weight.data.mul_(9.0)
        >>> find_loaded(model, dict(model.named_children()))
        {'0': 'its values lie beyond those that PyTorch draws'}
    """
    parts = read_pretraining(model)
    verdicts = {path: _verdict(layer) for path, layer in layers.items()}
    some_are_drawn = False in verdicts.values()
    found: dict[str, str] = {}
    for path, layer in layers.items():
        part = next((part for part in parts if not part.module or f"{path}.".startswith(f"{part.module}.")), None)
        if part is not None:
            found[path] = part.reason
        elif any(weight._version > _WRITES for weight in _weights(layer)):
            found[path] = "it was trained in this process"
        elif verdicts[path] is None and _is_beyond_default(layer, some_are_drawn):
            found[path] = "its values lie beyond those that PyTorch draws"
    return found


def _verdict(layer: nn.Module) -> bool | None:
    """Return the doctor's verdict on the first matrix of a layer, ``None`` if it is too small for one."""
    return next((looks_trained(weight) for weight in _weights(layer)), None)


def _weights(layer: nn.Module) -> list[Tensor]:
    return [value for name, value in layer.named_parameters(recurse=False) if name.startswith("weight")]


def _is_beyond_default(layer: nn.Module, some_are_drawn: bool) -> bool:
    """Return whether a small layer holds values that PyTorch does not draw, other than by an initializer.

    Initializers set biases to one number. Of a layer without biases nothing is known but its siblings.
    """
    numbers = [(name, local_part(value).detach().float()) for name, value in layer.named_parameters(recurse=False)]
    biases = [value for name, value in numbers if name.startswith("bias") and value.numel() > 1]
    if biases and all(float(value.max() - value.min()) == 0 for value in biases):
        return False
    if not biases and some_are_drawn:
        return False
    bound = _default_bound(layer) * (1 + 1e-3)
    return any(float(value.abs().max()) > bound for _, value in numbers if value.numel())


def _default_bound(layer: Any) -> float:
    """Return the largest number that PyTorch's constructors draw."""
    size = getattr(layer, "hidden_size", None) or math.prod(layer.weight.shape[1:])
    return 1 / math.sqrt(size)
