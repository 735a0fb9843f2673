"""Scheduler forecast: find the rates that a scheduler will write by stepping it and undoing the steps."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch.optim import Optimizer

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state

_METRICS = ("metrics", "metric", "loss", "val_loss")
_STEPS = 100


class Deviation(NamedTuple):
    """The first step after which a scheduler does not write the expected rate."""

    step: int
    group: int
    found: float
    expected: float


def forecast_lrs(
    scheduler: Any, optimizer: Optimizer, leave_out: Iterable[object] = (), num_steps: int = _STEPS
) -> list[list[float]]:
    """Return the rates of all groups after each of the next steps; scheduler and groups are not changed.

    Args:
        scheduler: any object with a ``step`` method; it is called without arguments, with the step number, or with a
            constant metric, depending on its signature.
        optimizer: the optimizer whose groups it writes.
        leave_out: objects that the scheduler may refer to and that its steps do not change, such as the model.
        num_steps: number of steps to look ahead; fewer if the scheduler raises an error after its last step.

    Returns:
        Rates by step and group; an empty list if it cannot be stepped.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> halving = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> forecast_lrs(halving, optimizer, num_steps=2), optimizer.param_groups[0]["lr"]
        ([[0.5], [0.25]], 1.0)
    """
    take_step = _stepper(scheduler)
    if take_step is None:
        return []
    restore_random_state, memory = remember_random_state(), ObjectSnapshot()
    params = [value for group in optimizer.param_groups for value in group["params"]]
    memory.leave_out(optimizer, *params, *leave_out)
    memory.remember(optimizer.param_groups, scheduler)
    rates: list[list[float]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about a scheduler step before the first optimizer step
            for step in range(1, num_steps + 1):
                take_step(step)
                rates.append([float(group["lr"]) for group in optimizer.param_groups])
    except Exception:  # after its last step, or a `step` that needs other arguments: the forecast ends here
        return rates
    finally:
        memory.restore_()
        restore_random_state()
    return rates


def _stepper(scheduler: Any) -> Callable[[int], None] | None:
    """Return how to take the step with a given number, ``None`` if unknown."""
    step, update = getattr(scheduler, "step", None), getattr(scheduler, "step_update", None)
    if not callable(step):
        return None
    parameters = inspect.signature(step).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1:
        return None

    def take_step(number: int) -> None:
        step(*[1.0 if name in _METRICS else number for name in needed])
        if callable(update):  # timm's schedulers count updates separately from epochs
            update(number)

    return take_step


def find_deviation(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], factors: Sequence[float], over: float = 1.0
) -> Deviation | None:
    """Return the first step at which the second forecast differs from the first times ``factors / over``.

    Example:
        >>> find_deviation([[0.1], [0.2]], [[1.0], [0.2]], factors=[10.0])
        Deviation(step=2, group=0, found=0.2, expected=2.0)
    """
    for step, (then, now) in enumerate(zip(before, after, strict=False), start=1):
        for group, (old, new) in enumerate(zip(then, now, strict=True)):
            expected = old / over * factors[group]
            if not math.isclose(new, expected, rel_tol=1e-4, abs_tol=1e-12):
                return Deviation(step, group, new, expected)
    return None
