"""Simulate a schedule: compute the learning rates of a scheduler over a run on a copy of it."""

import copy
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from lightning_tricks.doctor.facts.context_facts import PlanFacts, RateCurve

_SECONDS, _POINTS = 0.02, 32


def simulate_schedule(scheduler: Any, calls: int | None, calls_per_epoch: int) -> RateCurve | None:
    """Return the highest rate of any group at several numbers of calls, during the run and up to four times as long.

    Args:
        scheduler: a torch scheduler or a similar one; it and its optimizer are not changed.
        calls: how often the run steps it; None if unknown.
        calls_per_epoch: how often an epoch steps it; 0 if unknown.

    Returns:
        ``None`` for a scheduler that cannot be simulated: one that needs a metric, or cannot be copied.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
        >>> curve = simulate_schedule(torch.optim.lr_scheduler.StepLR(sgd, 1, gamma=0.5), 3, 0)
        >>> curve.rates[:4]
        ((0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125))
    """
    end = calls or calls_per_epoch
    if not end or not hasattr(scheduler, "last_epoch") or "Plateau" in type(scheduler).__name__:
        return None
    wanted = sorted(
        {
            *_evenly_spaced(end),
            *_evenly_spaced(min(end, calls_per_epoch or end)),
            *(_evenly_spaced(4 * end) if calls else ()),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            twin = copy.deepcopy(scheduler, _shared(scheduler))
            rates = _read(twin, wanted)
        except Exception:  # schedulers are often user code and may contain anything
            return None
    return RateCurve(calls, calls_per_epoch, tuple(rates)) if len(rates) > 1 else None


def calls_of(plan: PlanFacts | None, batches: int | None, interval: str, frequency: int) -> tuple[int | None, int]:
    """Return how often a run, and an epoch, step a scheduler.

    Example:
        >>> calls_of(PlanFacts(epochs=3, steps=30, accumulate=1, devices=1), 10, "step", 1)
        (30, 10)
        >>> calls_of(None, 10, "step", 2)
        (None, 5)
    """
    frequency = max(1, frequency)
    if plan is None:
        return None, (batches or 0) // frequency if interval == "step" else 0
    if interval == "epoch":
        return None if plan.epochs is None else plan.epochs // frequency, 1
    steps = None if plan.steps is None else plan.steps // frequency
    if plan.steps is not None and plan.epochs:
        return steps, max(1, plan.steps // plan.epochs // frequency)
    return steps, (batches or 0) // plan.accumulate // frequency


def _shared(scheduler: Any) -> dict[int, Any]:
    """Return what a copy shares with the original: tensors and the optimizer's state."""
    optimizer = scheduler.optimizer
    kept = [value for group in optimizer.param_groups for value in group["params"]]
    return {id(value): value for value in [*kept, optimizer.state]}


def _evenly_spaced(end: int) -> Iterable[int]:
    return (end * i // _POINTS for i in range(_POINTS + 1))


def _read(scheduler: Any, wanted: list[int]) -> list[tuple[int, float]]:
    rates = [(0, _highest(scheduler))]
    closed: Callable[[], list[Any]] | None = getattr(scheduler, "_get_closed_form_lr", None)
    if closed is None and type(scheduler).__name__ == "LambdaLR":
        closed = scheduler.get_lr
    if closed is not None:
        for call in wanted[1:]:
            scheduler.last_epoch = call
            rates.append((call, max(map(float, closed()))))
        return rates
    limit, goals = time.monotonic() + _SECONDS, set(wanted)
    for call in range(1, wanted[-1] + 1):
        try:
            scheduler.step()
        except ValueError:  # a one-cycle schedule raises after the calls it was built for
            break
        if call in goals:
            rates.append((call, _highest(scheduler)))
        if time.monotonic() > limit:
            break
    return rates


def _highest(scheduler: Any) -> float:
    return max(float(group["lr"]) for group in scheduler.optimizer.param_groups)
