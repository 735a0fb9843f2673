"""LR sweep: it ends where the loss diverges, and starts again from lower rates where the first ones are too high."""

from typing import Any

import pytest
import torch
from tiny import LargeBatchNet, fit, same, weights

from lightning_tricks import LRFinder, find_lr

START = {"min_lr": 1e-4, "num_steps": 63}


class Scaled(LargeBatchNet):
    """A loss of another scale, under which the best rate of SGD is as many times smaller."""

    def __init__(self, scale: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.scale = scale

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.scale * self.loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3, momentum=0.9)


def test_if_the_first_rates_are_too_high_a_second_sweep_starts_three_decades_lower() -> None:
    usual, scaled = find_lr(Scaled(1.0), **START), find_lr(Scaled(1e3), **START)
    assert usual.lrs[0] == 1e-4
    assert scaled.lrs[0] == pytest.approx(1e-7)
    assert usual.suggestion is not None
    assert scaled.suggestion == pytest.approx(usual.suggestion / 1e3, rel=0.2)
    assert scaled.lrs[1] / scaled.lrs[0] == pytest.approx(usual.lrs[1] / usual.lrs[0], rel=1e-3)


@pytest.mark.parametrize("manual", [False, True])
def test_both_sweeps_are_undone(manual: bool) -> None:
    def trained(*callbacks: Any) -> Any:
        net = LargeBatchNet(manual=manual, lr=1e-3)
        return weights(fit(*callbacks, net=net, max_epochs=2))

    finder = LRFinder(min_lr=0.5, num_steps=30, apply=False)
    assert same(trained(finder), trained())
    assert finder.result is not None
    assert finder.result.lrs[0] == pytest.approx(5e-4)


def test_a_linear_sweep_keeps_its_range() -> None:
    assert find_lr(Scaled(1e3), min_lr=1e-2, max_lr=1.0, num_steps=20, mode="linear").lrs[0] == 1e-2


@pytest.mark.parametrize(("scale", "noise"), [(0.0, 0.0), (0.0, 1.0)], ids=["flat", "noise"])
def test_a_loss_that_no_rate_changes_is_swept_once(scale: float, noise: float) -> None:
    class Fixed(Scaled):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return scale * self.loss(batch) + 1.0 + noise * torch.rand(())

    result = find_lr(Fixed(1.0), **START)
    assert result.suggestion is None
    assert result.lrs[0] == 1e-4
    assert len(result.lrs) == 63
