"""Momentum: read and write it in a parameter group, under any of the names that optimizers use."""

from typing import Any

import torch
from torch import Tensor


def has_momentum(group: dict[str, Any]) -> bool:
    """Return whether a parameter group has a non-zero momentum.

    Example:
        >>> optimizer = torch.optim.Adam([torch.zeros(1)], betas=(0.9, 0.999))
        >>> has_momentum(optimizer.param_groups[0]), has_momentum({"lr": 0.1, "momentum": 0.0})
        (True, False)
    """
    if "betas" in group:
        return bool(group["betas"][0])
    return bool(group.get("momentum"))


def write_momentum_(group: dict[str, Any], value: float) -> None:
    """Set the momentum of a parameter group: ``momentum``, or the first of ``betas``; a tensor is written in place.

    Example:
        >>> group = {"betas": (0.9, 0.999)}
        >>> write_momentum_(group, 0.85)
        >>> group
        {'betas': (0.85, 0.999)}
    """
    if "betas" not in group:
        group["momentum"] = value
    elif isinstance(group["betas"][0], Tensor):
        with torch.no_grad():
            group["betas"][0].fill_(value)
    else:
        group["betas"] = (value, *group["betas"][1:])
