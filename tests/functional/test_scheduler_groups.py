"""Scheduler groups: a scheduler over split and scaled groups equals one over optimizers of their own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from lightning_tricks.functional.param_groups import split_param_groups_
from lightning_tricks.functional.scheduler_groups import grow_scheduler_, scale_groups_, scale_scheduler_

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
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=8),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.7)]
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 3)], [2]
    ),
}


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
            each.step()


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


def test_a_common_floor_is_named() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 5, eta_min=0.001)
    assert scale_scheduler_(scheduler, [0.5]) == ["CosineAnnealingLR(eta_min=0.001)"]
