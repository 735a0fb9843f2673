"""Rate curve: restarts, a fall and a warm-up are found in the rates of torch's schedulers."""

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs

from lightning_tricks.functional.rate_curve import SampledCycles, has_fallen, restarts_in, warmup_calls
from lightning_tricks.functional.schedule_shape import Cycles
from lightning_tricks.functional.scheduler_forecast import forecast_lrs


def rates_of(build: Any, calls: int = 60) -> list[float]:
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    return [0.0 + rates[0] for rates in forecast_lrs(build(sgd), sgd, num_steps=calls)]


def warmed(inner: Any) -> Any:
    return lambda sgd: torchs.SequentialLR(sgd, [torchs.LinearLR(sgd, 0.01, total_iters=5), inner(sgd)], milestones=[5])


@pytest.mark.parametrize(
    ("build", "restarts"),
    [
        (lambda sgd: torchs.CosineAnnealingWarmRestarts(sgd, 10), [10, 20, 30, 40, 50, 60]),
        (lambda sgd: torchs.CosineAnnealingWarmRestarts(sgd, 8, 2), [8, 24, 56]),
        (lambda sgd: torchs.CyclicLR(sgd, 0.001, 0.1, 10, cycle_momentum=False), [20, 40]),
        (lambda sgd: torchs.CyclicLR(sgd, 0.001, 0.1, 10, mode="triangular2", cycle_momentum=False), [20, 40]),
        (lambda sgd: torchs.CosineAnnealingLR(sgd, 15), [15, 45]),
        (warmed(lambda sgd: torchs.CosineAnnealingWarmRestarts(sgd, 20)), [25, 45]),
        (lambda sgd: torchs.LambdaLR(sgd, lambda call: 1 - call % 12 / 12), [12, 24, 36, 48, 60]),
        (lambda sgd: torchs.OneCycleLR(sgd, 0.1, 62, cycle_momentum=False), []),
        (lambda sgd: torchs.StepLR(sgd, 20), []),
        (warmed(lambda sgd: torchs.ExponentialLR(sgd, 0.9)), []),
    ],
)
def test_restarts_are_found_within_a_call(build: Any, restarts: list[int]) -> None:
    found = [place + 1 for place in restarts_in(rates_of(build))]
    assert found == pytest.approx(restarts, abs=1)


def test_sampled_cycles_measure_like_those_of_a_definition() -> None:
    known, sampled = Cycles(8.0, 2.0), SampledCycles((8.0, 24.0, 56.0))
    for end in (7.0, 8.0, 20.0, 24.0, 50.0, 60.0):
        assert sampled.longest_after_restart(end) == pytest.approx(known.longest_after_restart(end))
        assert sampled.since_restart(end) == pytest.approx(known.since_restart(end))
    assert sampled.first == known.first


def test_a_fall_and_a_warmup_are_told_from_constant_and_cyclic_rates() -> None:
    assert has_fallen(rates_of(lambda sgd: torchs.OneCycleLR(sgd, 0.1, 61, cycle_momentum=False)))
    assert not has_fallen(rates_of(lambda sgd: torchs.CosineAnnealingWarmRestarts(sgd, 10)))
    assert not has_fallen([])
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    assert warmup_calls(warmed(lambda sgd: torchs.ExponentialLR(sgd, 0.9))(sgd)) == 5
    assert warmup_calls(torchs.LinearLR(sgd, 1.0, 0.1, total_iters=5)) == 0
