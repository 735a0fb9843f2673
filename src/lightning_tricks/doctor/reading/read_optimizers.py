"""Read optimizers: parse the return value of ``configure_optimizers`` in all forms that Lightning accepts."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lightning_tricks.doctor.facts.context_facts import PlanFacts
from lightning_tricks.doctor.facts.optimizer_facts import GroupFact, OptimizerFact, SchedulerFact
from lightning_tricks.doctor.reading.measure_tensors import plain_settings
from lightning_tricks.doctor.reading.simulate_schedule import calls_of, simulate_schedule


def normalize_optimizer_config(returned: Any) -> tuple[list[Optimizer], list[dict[str, Any]]]:
    """Return the optimizers, and the schedulers as Lightning's dicts.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
        >>> optimizers, schedulers = normalize_optimizer_config({"optimizer": sgd, "lr_scheduler": None})
        >>> optimizers == [sgd], schedulers
        (True, [])
    """
    if returned is None:
        return [], []
    if isinstance(returned, dict):
        return [returned["optimizer"]], _schedulers(returned.get("lr_scheduler"))
    if isinstance(returned, Sequence):
        if len(returned) == 2 and isinstance(returned[0], (list, tuple)):
            return list(returned[0]), [found for item in returned[1] for found in _schedulers(item)]
        parts = [normalize_optimizer_config(item) for item in returned]
        return [item for found, _ in parts for item in found], [item for _, found in parts for item in found]
    return [returned], []


def _schedulers(returned: Any) -> list[dict[str, Any]]:
    if returned is None:
        return []
    return [returned if isinstance(returned, dict) else {"scheduler": returned}]


def read_optimizers(
    model: nn.Module,
    optimizers: Sequence[Any],
    schedulers: Sequence[dict[str, Any]] = (),
    peaks: Sequence[Sequence[float]] = (),
    plan: PlanFacts | None = None,
    batches: int | None = None,
) -> tuple[OptimizerFact, ...]:
    """Return the facts about optimizers and their schedulers.

    Args:
        model: the model, which provides the names of the parameters.
        optimizers: torch optimizers, or Lightning's wrappers.
        schedulers: as Lightning's dicts.
        peaks: the highest planned rate of each group, if callbacks know it; the current rate may be the start of a
            warm-up.
        plan: the run over which schedulers are simulated.
        batches: the length of the training loader, if known.
    """
    names: dict[int, str] = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), name)
    found = []
    for i, optimizer in enumerate(optimizers):
        inner = getattr(optimizer, "_optimizer", getattr(optimizer, "optimizer", optimizer))  # Lightning's wrapper
        own = [scheduler for scheduler in schedulers if getattr(scheduler["scheduler"], "optimizer", None) is inner]
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
                schedulers=tuple(_scheduler(config, plan, batches) for config in own),
            )
        )
    return tuple(found)


def _group(group: dict[str, Any], names: dict[int, str]) -> GroupFact:
    known = tuple(names[id(value)] for value in group["params"] if id(value) in names)
    settings = plain_settings({key: value for key, value in group.items() if key != "params"})
    return GroupFact(settings, known, len(group["params"]) - len(known))


def _scheduler(config: dict[str, Any], plan: PlanFacts | None, batches: int | None) -> SchedulerFact:
    scheduler = config["scheduler"]
    interval, frequency = str(config.get("interval", "epoch")), int(config.get("frequency", 1))
    curve = simulate_schedule(scheduler, *calls_of(plan, batches, interval, frequency))
    monitor = config.get("monitor")
    return SchedulerFact(
        type(scheduler).__name__, plain_settings(vars(scheduler)), interval, frequency, curve,
        monitor if isinstance(monitor, str) else "",
    )  # fmt: skip
