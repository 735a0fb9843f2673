"""Param groups: split the groups of an existing optimizer and keep every option that the user set."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def split_param_groups_(
    optimizer: Optimizer,
    kind: Callable[[Tensor], int],
    options: Callable[[int], Mapping[str, Any]] | None = None,
) -> list[int]:
    """Split each group so that all parameters of a group are of one kind; groups keep their order and options.

    Args:
        optimizer: any optimizer that supports several groups; its state is kept by parameter and does not change.
        kind: returns the kind of a parameter; within an original group, kinds are sorted in increasing order.
        options: options of the groups of a kind, which replace the user's.

    Returns:
        For each new group, the index of its original group.

    Example:
        >>> body, head = torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([{"params": [head, body], "momentum": 0.9}], lr=0.1)
        >>> split_param_groups_(optimizer, lambda parameter: 1 if parameter is head else 0)
        [0, 0]
        >>> [(len(group["params"]), group["momentum"]) for group in optimizer.param_groups]
        [(1, 0.9), (1, 0.9)]
    """
    split: list[dict[str, Any]] = []
    origins: list[int] = []
    for i, group in enumerate(optimizer.param_groups):
        kinds = [kind(parameter) for parameter in group["params"]]
        several = sorted(set(kinds))
        for label in several:
            part = group if len(several) == 1 else _part_of(group, [k == label for k in kinds], several.index(label))
            part.update(options(label) if options else {})
            split.append(part)
            origins.append(i)
        if not kinds:  # an empty group is the user's placeholder
            split.append(group)
            origins.append(i)
    optimizer.param_groups[:] = split
    return origins


def _part_of(group: Mapping[str, Any], wanted: list[bool], number: int) -> dict[str, Any]:
    part = {key: _own(value) for key, value in group.items() if key not in ("params", "param_names")}
    for key in ("params", "param_names"):  # names exist if the optimizer was built from named_parameters()
        if key in group:
            part[key] = [item for item, is_wanted in zip(group[key], wanted, strict=True) if is_wanted]
    if "name" in part and number:  # LearningRateMonitor does not accept two groups with the same name
        part["name"] = f"{part['name']}/{number}"
    return part


def _own(value: Any) -> Any:
    """Copy a learning rate that is a tensor: tensors are written in place, so each group needs its own."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return list(value) if isinstance(value, list) else value


def find_undecayed(model: nn.Module) -> set[int]:
    """Return the ``id`` of each parameter that is usually exempt from weight decay: biases, norms and vectors.

    Example:
        >>> layers = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
        >>> [name for name, value in layers.named_parameters() if id(value) in find_undecayed(layers)]
        ['0.bias', '1.weight', '1.bias']
    """
    spared = set()
    for module in model.modules():
        norm = "norm" in type(module).__name__.lower()
        for name, value in module.named_parameters(recurse=False):
            if norm or value.ndim <= 1 or name.endswith("bias"):
                spared.add(id(value))
    return spared


def missing_from(optimizers: list[Optimizer], model: nn.Module) -> list[str]:
    """Return the trainable parameters of a model that no optimizer holds, by name."""
    held = {id(value) for optimizer in optimizers for group in optimizer.param_groups for value in group["params"]}
    return [name for name, value in model.named_parameters() if value.requires_grad and id(value) not in held]


def foreign_shapes(optimizers: list[Optimizer], model: nn.Module) -> list[torch.Size]:
    """Return the shapes of the optimizers' parameters that do not belong to the model."""
    own = {id(value) for value in model.parameters()}
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return [value.shape for group in groups for value in group["params"] if id(value) not in own]
