"""Scheduler groups: keep a torch scheduler right when its optimizer's groups are split or their rates scaled.

Schedulers keep lists with an entry for each group (``base_lrs``, ``max_lrs``, ``lr_lambdas`` …) and read the group's
own ``initial_lr``, ``max_lr``, ``min_lr``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_RATES = ("base_lrs", "_last_lr", "max_lrs", "min_lrs", "initial_lrs")
_OTHERS = ("lr_lambdas", "base_momentums", "max_momentums")
_OF_GROUP = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr")


def schedulers_in(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those inside it (``SequentialLR``, ``ChainedScheduler``)."""
    yield scheduler
    for inner in getattr(scheduler, "_schedulers", ()):
        yield from schedulers_in(inner)


def grow_scheduler_(scheduler: Any, origins: Sequence[int]) -> None:
    """Give each group of a split optimizer the entry of the group that it was part of.

    Args:
        scheduler: a scheduler of torch's, or one built like them.
        origins: what :func:`~lightning_tricks.functional.param_groups.split_param_groups_` returned.

    Example:
        >>> from lightning_tricks.functional.param_groups import split_param_groups_
        >>> values = [torch.zeros(1, requires_grad=True) for _ in range(2)]
        >>> optimizer = torch.optim.SGD(values, lr=0.1)
        >>> scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> grow_scheduler_(scheduler, split_param_groups_(optimizer, lambda value: int(value is values[0])))
        >>> scheduler.base_lrs
        [0.1, 0.1]
    """
    before = max(origins, default=-1) + 1
    for inner in schedulers_in(scheduler):
        for name in (*_RATES, *_OTHERS):
            values = vars(inner).get(name)
            if isinstance(values, (list, tuple)) and len(values) == before:
                setattr(inner, name, [_own(values[origin]) for origin in origins])


def scale_scheduler_(scheduler: Any, factors: Sequence[float]) -> list[str]:
    """Multiply the rates that a scheduler keeps for each group.

    Args:
        scheduler: as above; its groups' own rates are :func:`scale_groups_`'s.
        factors: one for each group.

    Returns:
        Settings that hold one floor for all groups, so that the ratios are not kept near it.
    """
    floors = []
    for inner in schedulers_in(scheduler):
        for name in _RATES:
            values = vars(inner).get(name)
            if isinstance(values, list) and len(values) == len(factors):
                setattr(inner, name, [value * factor for value, factor in zip(values, factors, strict=True)])
        if getattr(inner, "eta_min", 0):
            floors.append(f"{type(inner).__name__}(eta_min={inner.eta_min:g})")
    return floors


def scale_groups_(optimizer: Optimizer, factors: Sequence[float]) -> None:
    """Multiply the rate of each group, and the rates that schedulers keep in it."""
    for group, factor in zip(optimizer.param_groups, factors, strict=True):
        for name in _OF_GROUP:
            value = group.get(name)
            if isinstance(value, Tensor):
                with torch.no_grad():
                    value.mul_(factor)
            elif isinstance(value, (int, float)):
                group[name] = value * factor


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
