"""A schedule is simulated on a copy: its rates are right, and it, its optimizer and the weights stay as they are."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler

from lightning_tricks.doctor.reading.simulate_schedule import simulate_schedule

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "step": lambda sgd: lr_scheduler.StepLR(sgd, 3, gamma=0.5),
    "cosine": lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, 20),
    "lambda": lambda sgd: lr_scheduler.LambdaLR(sgd, lambda step: 1 / (1 + step)),
    "one-cycle": lambda sgd: lr_scheduler.OneCycleLR(sgd, 0.5, total_steps=100),
    "restarts": lambda sgd: lr_scheduler.CosineAnnealingWarmRestarts(sgd, 5),
    "sequence": lambda sgd: lr_scheduler.SequentialLR(
        sgd, [lr_scheduler.LinearLR(sgd, 0.1, total_iters=4), lr_scheduler.ExponentialLR(sgd, 0.9)], [4]
    ),
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_the_simulated_rates_are_those_of_the_schedule(make: Callable[[Any], Any]) -> None:
    net = nn.Linear(2, 1)
    sgd = SGD(net.parameters(), 0.1, momentum=0.9)
    schedule = make(sgd)
    before, groups = copy.deepcopy(schedule.state_dict()), copy.deepcopy(sgd.state_dict())
    curve = simulate_schedule(schedule, 20, 5)
    assert curve is not None
    after = schedule.state_dict()
    assert str(before) == str(after)
    assert sgd.state_dict() == groups
    rates = [sgd.param_groups[0]["lr"]]
    for _ in range(20):
        sgd.step()
        schedule.step()
        rates.append(sgd.param_groups[0]["lr"])
    seen = dict(curve.rates)
    assert [seen[call] for call in range(21)] == pytest.approx(rates)
    assert max(seen) == 80


def test_a_plateau_schedule_and_an_unknown_length_are_not_simulated() -> None:
    sgd = SGD([torch.zeros(1, requires_grad=True)], 0.1)
    assert simulate_schedule(lr_scheduler.ReduceLROnPlateau(sgd), 20, 5) is None
    assert simulate_schedule(lr_scheduler.StepLR(sgd, 3), None, 0) is None
