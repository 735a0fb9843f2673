"""Scheduler groups and forecasts: a scheduler over split and scaled groups equals one over optimizers of their own."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from foreign_schedulers import LikeTimm, OwnCycle, Stubborn, TwoArguments, Wrapping
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

from lightning_tricks.functional.param_groups import split_param_groups_
from lightning_tricks.functional.scheduler_forecast import find_deviation, forecast_lrs
from lightning_tricks.functional.scheduler_groups import (
    built_lrs,
    drop_momentum_cycle_,
    grow_scheduler_,
    is_known,
    peak_lrs,
    scale_groups_,
    scale_scheduler_,
)


class OwnRates(lr_scheduler.LRScheduler):
    """torch's base class, which leaves the rates to ``get_lr``."""

    def get_lr(self) -> list[Any]:
        return [0.9**self.last_epoch * lr for lr in self.base_lrs]


KINDS: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.7),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, [lambda t: 0.5**t]),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, factor=0.5, min_lr=0.01),
    "SWALR": lambda o: SWALR(o, 0.02, anneal_epochs=3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=8),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2),
    "LRScheduler": OwnRates,
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.7)]
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 3)], [2]
    ),
}


def test_no_scheduler_of_torch_is_left_out() -> None:
    found = {name for name, cls in vars(lr_scheduler).items() if isinstance(cls, type)}
    schedulers = {name for name in found if issubclass(getattr(lr_scheduler, name), lr_scheduler.LRScheduler)}
    assert schedulers - {"_LRScheduler"} <= set(KINDS)  # the old name of the base class


def step(scheduler: Any) -> None:
    scheduler.step(*[1.0] * isinstance(scheduler, lr_scheduler.ReduceLROnPlateau))


@pytest.mark.parametrize("kind", KINDS)
def test_every_scheduler_of_torch_keeps_the_ratios(kind: str) -> None:
    factors = [0.25, 1.0]
    values = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    alone, ours = (torch.optim.SGD(values, lr=0.1, momentum=0.9) for _ in range(2))
    expected, scheduler = KINDS[kind](alone), KINDS[kind](ours)
    grow_scheduler_(scheduler, split_param_groups_(ours, lambda value: int(value is values[1])))
    scale_groups_(ours, factors)
    assert scale_scheduler_(scheduler, factors) == []
    for _ in range(7):
        (group,) = alone.param_groups
        assert [g["lr"] for g in ours.param_groups] == pytest.approx([group["lr"] * f for f in factors], rel=1e-12)
        assert [g["momentum"] for g in ours.param_groups] == [group["momentum"]] * 2
        assert scheduler.get_last_lr() == pytest.approx([g["lr"] for g in ours.param_groups])
        for optimizer in (alone, ours):
            optimizer.step()
        for each in (expected, scheduler):
            step(each)


def test_a_floor_of_the_plateau_scheduler_is_each_groups_own() -> None:
    values = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD(values, lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.01)
    grow_scheduler_(scheduler, split_param_groups_(optimizer, lambda value: int(value is values[1])))
    scale_groups_(optimizer, [0.5, 1.0])
    scale_scheduler_(scheduler, [0.5, 1.0])
    for _ in range(9):
        scheduler.step(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005, 0.01])


def test_a_floor_of_all_groups_is_named_where_the_factors_differ_and_scaled_where_they_are_one() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)], lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 5, eta_min=0.001)
    assert scale_scheduler_(scheduler, [0.5, 1.0]) == ["CosineAnnealingLR(eta_min=0.001)"]
    assert scale_scheduler_(scheduler, [3.0, 3.0], over=10.0) == []
    assert scheduler.eta_min == pytest.approx(0.0003)


OTHERS: dict[str, Any] = {"timm": LikeTimm, "own cycle": OwnCycle, "wrapping": Wrapping}


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_every_scheduler_keeps_its_shape_when_all_rates_are_scaled_alike(kind: str) -> None:
    make = {**KINDS, **OTHERS}[kind]
    values = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [value]} for value in values], lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(optimizer) if kind != "LambdaLR" else lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    before = forecast_lrs(scheduler, optimizer, num_steps=12)
    peaks = peak_lrs(optimizer, [scheduler])
    assert len(before) >= 7
    scale_groups_(optimizer, [0.3, 0.3], over=0.1)
    assert scale_scheduler_(scheduler, [0.3, 0.3], over=0.1) == []
    after = forecast_lrs(scheduler, optimizer, num_steps=12)
    assert after == [pytest.approx([3 * lr for lr in lrs], rel=1e-9) for lrs in before]
    assert find_deviation(before, after, [0.3, 0.3], over=0.1) is None
    assert peak_lrs(optimizer, [scheduler]) == pytest.approx([3 * peak for peak in peaks])
    assert is_known(scheduler) == (kind in KINDS and kind != "LRScheduler")


@pytest.mark.parametrize("kind", ["CyclicLR", "OneCycleLR"])
def test_the_rates_and_the_momentum_that_a_cyclic_scheduler_overwrote_are_known(kind: str) -> None:
    values = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [value]} for value in values], lr=0.5, momentum=0.7)
    highest = [0.1, 0.4]
    if kind == "CyclicLR":
        scheduler: Any = lr_scheduler.CyclicLR(optimizer, [0.01, 0.02], highest)
    else:
        scheduler = lr_scheduler.OneCycleLR(optimizer, highest, total_steps=8)
    assert peak_lrs(optimizer, [scheduler]) == highest
    assert built_lrs(optimizer, [scheduler]) == [0.125, 0.5]
    drop_momentum_cycle_(optimizer)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.7, 0.7]
    assert not any("base_momentum" in group or "max_momentum" in group for group in optimizer.param_groups)


def test_a_forecast_leaves_scheduler_groups_and_random_numbers_as_they_were() -> None:
    class Noisy(lr_scheduler.LRScheduler):
        def __init__(self, optimizer: Any) -> None:
            self.drawn: list[float] = []
            super().__init__(optimizer)

        def get_lr(self) -> list[Any]:
            self.drawn.append(torch.rand(()).item())
            return [lr * self.drawn[-1] for lr in self.base_lrs]

    value = torch.zeros(1, requires_grad=True)
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam([value], lr=rate)
    scheduler = Noisy(optimizer)
    before = (len(scheduler.drawn), scheduler.last_epoch, scheduler._step_count, float(rate), torch.get_rng_state())
    first, second = (forecast_lrs(scheduler, optimizer, num_steps=5) for _ in range(2))
    assert first == second
    assert len(first) == 5
    after = (len(scheduler.drawn), scheduler.last_epoch, scheduler._step_count, float(rate), torch.get_rng_state())
    assert before[:-1] == after[:-1]
    assert torch.equal(before[-1], after[-1])
    assert optimizer.param_groups[0]["lr"] is rate


def test_a_forecast_ends_where_the_scheduler_does_and_says_nothing_of_one_that_cannot_be_stepped() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    one_cycle = lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=8, cycle_momentum=False)
    assert len(forecast_lrs(one_cycle, optimizer)) == 8
    assert forecast_lrs(TwoArguments(optimizer), optimizer) == []
    assert forecast_lrs(object(), optimizer) == []


def test_the_first_deviation_is_found() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    stubborn = Stubborn(optimizer)
    before = forecast_lrs(stubborn, optimizer)
    scale_groups_(optimizer, [10.0])
    scale_scheduler_(stubborn, [10.0])
    after = forecast_lrs(stubborn, optimizer)
    assert find_deviation(before, after, [10.0]) == (3, 0, 0.03, pytest.approx(0.3))
