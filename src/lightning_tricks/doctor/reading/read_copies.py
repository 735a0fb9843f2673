"""Read copies: find modules with nearly the same numbers as another one: teachers, target networks, moving averages."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.reading.measure_tensors import local_part

_DEPTH, _COMPARED = 2, 4096


def read_copies(model: nn.Module) -> tuple[str, ...]:
    """Return the paths of parts of the model that are copies, or near copies, of each other.

    Example:
        >>> import copy
        >>> model = nn.ModuleDict({"net": nn.Linear(8, 4), "head": nn.Linear(8, 4)})
        >>> model["target"] = copy.deepcopy(model["net"])
        >>> read_copies(model)
        ('net', 'target')
    """
    groups: dict[Any, list[tuple[str, Tensor]]] = {}
    for path, module in model.named_modules():
        if path and path.count(".") < _DEPTH and (known := kind_and_matrix(module)) is not None:
            groups.setdefault(known[0], []).append((path, known[1]))
    found = [
        path
        for group in groups.values()
        for path, matrix in group
        if any(other is not matrix and follows(matrix, other) for _, other in group)
    ]
    return tuple(sorted(found))


def kind_and_matrix(module: nn.Module) -> tuple[Any, Tensor] | None:
    """Return what two copies have in common (class, names and shapes), and the module's first matrix if it has one."""
    own = list(module.named_parameters())
    if any(nn.parameter.is_lazy(value) for _, value in own):
        return None
    matrix = next((value for _, value in own if value.dim() > 1), None)
    return None if matrix is None else ((type(module), tuple((name, value.shape) for name, value in own)), matrix)


def follows(matrix: Tensor, other: Tensor) -> bool:
    """Return whether a matrix nearly equals another one: a copy or a moving average."""
    if matrix.is_meta or other.is_meta or matrix.dtype != other.dtype or matrix.is_complex():
        return False
    first, second = (local_part(each).detach().float().flatten()[:_COMPARED] for each in (matrix, other))
    return bool(torch.dot(first, second) > 0.5 * first.norm() * second.norm())
