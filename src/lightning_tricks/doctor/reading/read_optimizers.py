"""Read optimizers: what ``configure_optimizers`` returns, in all the shapes that Lightning allows."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lightning_tricks.doctor.facts.evidence import GroupFact, OptimizerFact, SchedulerFact
from lightning_tricks.doctor.reading.measure_tensors import plain_settings


def sort_out(returned: Any) -> tuple[list[Optimizer], list[dict[str, Any]]]:
    """Return the optimizers, and the schedulers as Lightning's dicts.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
        >>> optimizers, schedulers = sort_out({"optimizer": sgd, "lr_scheduler": None})
        >>> optimizers == [sgd], schedulers
        (True, [])
    """
    if returned is None:
        return [], []
    if isinstance(returned, dict):
        return [returned["optimizer"]], _schedulers(returned.get("lr_scheduler"))
    if isinstance(returned, Sequence):
        if len(returned) == 2 and isinstance(returned[0], (list, tuple)):
            return list(returned[0]), [found for one in returned[1] for found in _schedulers(one)]
        parts = [sort_out(one) for one in returned]
        return [one for found, _ in parts for one in found], [one for _, found in parts for one in found]
    return [returned], []


def _schedulers(one: Any) -> list[dict[str, Any]]:
    if one is None:
        return []
    return [one if isinstance(one, dict) else {"scheduler": one}]


def read_optimizers(
    model: nn.Module,
    optimizers: Sequence[Any],
    schedulers: Sequence[dict[str, Any]] = (),
    peaks: Sequence[Sequence[float]] = (),
) -> tuple[OptimizerFact, ...]:
    """Return what can be seen of optimizers and their schedulers.

    Args:
        model: names their parameters.
        optimizers: torch's or Lightning's.
        schedulers: as Lightning's dicts.
        peaks: for each group the rate that it is to reach, if callbacks know it: what it has may be a warm-up's first.
    """
    names: dict[int, str] = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), name)
    found = []
    for i, optimizer in enumerate(optimizers):
        inner = getattr(optimizer, "_optimizer", getattr(optimizer, "optimizer", optimizer))  # Lightning's wrapper
        own = [one for one in schedulers if getattr(one["scheduler"], "optimizer", None) is inner]
        found.append(
            OptimizerFact(
                kind=type(inner).__name__,
                home=type(inner).__module__,
                bases=tuple(base.__name__ for base in type(inner).__mro__ if base is not object),
                defaults=plain_settings(inner.defaults),
                groups=tuple(
                    _group({**group, "max_lr": peaks[i][j]} if i < len(peaks) else group, names)
                    for j, group in enumerate(inner.param_groups)
                ),
                schedulers=tuple(_scheduler(one) for one in own),
            )
        )
    return tuple(found)


def _group(group: dict[str, Any], names: dict[int, str]) -> GroupFact:
    known = tuple(names[id(value)] for value in group["params"] if id(value) in names)
    settings = plain_settings({key: value for key, value in group.items() if key != "params"})
    return GroupFact(settings, known, len(group["params"]) - len(known))


def _scheduler(one: dict[str, Any]) -> SchedulerFact:
    scheduler = one["scheduler"]
    interval, frequency = str(one.get("interval", "epoch")), int(one.get("frequency", 1))
    return SchedulerFact(type(scheduler).__name__, plain_settings(vars(scheduler)), interval, frequency)
