"""Scheduler groups: keep a scheduler correct when its optimizer's groups are split or their rates are scaled.

Schedulers keep lists with one entry per group (``base_lrs``, ``max_lrs``, ``lr_lambdas``, ...) and single rates for all
groups (``eta_min``), and they read ``initial_lr``, ``max_lr`` and ``min_lr`` from the groups. The names below are those
of torch, of timm (``base_values``, ``lr_min``, ``warmup_lr_init``) and of schedulers that many projects copy.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_tricks.functional.learning_rates import built_lr, defaults_of

_RATES = ("base_lrs", "_last_lr", "max_lrs", "min_lrs", "initial_lrs", "base_values", "warmup_steps")
_OTHERS = ("lr_lambdas", "base_momentums", "max_momentums")
_OF_GROUP = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr")
_SHARED_PEAKS = ("base_max_lr", "max_lr", "eta_max")
_SHARED = (*_SHARED_PEAKS, "min_lr", "eta_min", "lr_min", "warmup_start_lr", "warmup_lr_init")
_HOMES = ("torch.optim.lr_scheduler", "torch.optim.swa_utils")


def schedulers_in(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those in its attributes and lists (``SequentialLR``, the scheduler inside a warm-up)."""
    waiting, seen = [scheduler], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        for value in vars(found).values():
            inner = value if isinstance(value, (list, tuple)) else [value]
            waiting += [part for part in inner if isinstance(part, LRScheduler)]


def is_known(scheduler: Any) -> bool:
    """Return whether a scheduler and all schedulers inside it are torch classes, whose rates are all known here."""
    return all(type(part).__module__ in _HOMES for part in schedulers_in(scheduler))


def peak_lrs(optimizer: Optimizer, schedulers: Iterable[Any]) -> list[float]:
    """Return the base rate of each group; for a cyclic scheduler, its highest rate.

    Args:
        optimizer: any optimizer.
        schedulers: all schedulers of the run; only those of this optimizer count.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> cycle = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.01, 0.3, cycle_momentum=False)
        >>> peak_lrs(optimizer, [cycle])
        [0.3]
    """
    groups = optimizer.param_groups
    peaks = [float(group.get("max_lr", group.get("initial_lr", group["lr"]))) for group in groups]
    for part in _parts_of(optimizer, schedulers):
        highest = vars(part).get("max_lrs")
        if isinstance(highest, (list, tuple)) and len(highest) == len(groups):
            peaks = [float(rate) for rate in highest]
        for name in _SHARED_PEAKS:
            if isinstance(vars(part).get(name), (int, float)):
                peaks = [float(vars(part)[name])] * len(groups)
    return peaks


def built_lrs(optimizer: Optimizer, schedulers: Iterable[Any]) -> list[float]:
    """Return the rates that the groups were built with, even if a scheduler has changed them since.

    Cyclic schedulers overwrite these rates, so only the optimizer's default is known. The groups then keep the ratios
    of their highest rates.

    Raises:
        ValueError: a group without a learning rate (``lr=None``).
    """
    groups = optimizer.param_groups
    cyclic = any("max_lrs" in vars(part) for part in _parts_of(optimizer, schedulers))
    if not cyclic and not any("max_lr" in group for group in groups):
        return [built_lr(optimizer, group) for group in groups]
    peaks = peak_lrs(optimizer, schedulers)
    default, top = built_lr(optimizer, {"lr": defaults_of(optimizer).get("lr")}), max(peaks)
    return [default * (peak / top) if top > 0 else default for peak in peaks]


def drop_momentum_cycle_(optimizer: Optimizer) -> None:
    """Restore the optimizer's default momentum in groups whose momentum a cyclic scheduler has changed."""
    for group in optimizer.param_groups:
        if group.pop("base_momentum", None) is not None:
            group.pop("max_momentum", None)
            defaults = defaults_of(optimizer)
            kept = "momentum" if "momentum" in defaults else "betas"
            group[kept] = defaults[kept]


def _parts_of(optimizer: Optimizer, schedulers: Iterable[Any]) -> list[Any]:
    parts = [part for scheduler in schedulers for part in schedulers_in(scheduler)]
    known = (optimizer, getattr(optimizer, "optimizer", optimizer))  # an engine's wrapper, and what it wraps
    return [part for part in parts if any(getattr(part, "optimizer", None) is each for each in known)]


def grow_scheduler_(scheduler: Any, origins: Sequence[int]) -> None:
    """Give each group of a split optimizer the scheduler's entry for its original group.

    Args:
        scheduler: a torch scheduler, or one with the same attributes.
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


def scale_scheduler_(scheduler: Any, factors: Sequence[float], over: float = 1.0) -> list[str]:
    """Multiply the rates that a scheduler keeps by ``factors / over``.

    Args:
        scheduler: as above; :func:`scale_groups_` scales the rates kept in the groups.
        factors: one per group.
        over: the divisor of all factors.

    Returns:
        The settings with a single rate for all groups whose factors differ; for these the ratios are not kept.
    """
    shared = []
    for inner in schedulers_in(scheduler):
        held = vars(inner)
        for name in _RATES:
            values = held.get(name)
            if isinstance(values, (list, tuple)) and len(values) == len(factors):
                held[name] = [value / over * factor for value, factor in zip(values, factors, strict=True)]
        if isinstance(held.get("default_min_lr"), float) and len(set(factors)) == 1:  # for groups that are added later
            held["default_min_lr"] *= factors[0] / over
        for name in _SHARED:
            rate = held.get(name)
            if not isinstance(rate, (int, float)) or not rate:
                continue
            if len(set(factors)) == 1:
                held[name] = rate / over * factors[0]
            else:
                shared.append(f"{type(inner).__name__}({name}={rate:g})")
    return shared


def scale_groups_(optimizer: Optimizer, factors: Sequence[float], over: float = 1.0) -> None:
    """Multiply the rate of each group, and the rates that schedulers keep in it, by ``factors / over``.

    A tensor is written in place, because a compiled optimizer may refer to it.
    """
    for group, factor in zip(optimizer.param_groups, factors, strict=True):
        for name in _OF_GROUP:
            value = group.get(name)
            if isinstance(value, Tensor):
                with torch.no_grad():
                    value.div_(over).mul_(factor)
            elif isinstance(value, (int, float)):
                group[name] = value / over * factor


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
