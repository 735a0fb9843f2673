"""Learning rates: one base, factors in any order, one writer that notices a second."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.learning_rates import LearningRates, multiply


def optimizer(*lrs: float | torch.Tensor) -> torch.optim.Optimizer:
    return torch.optim.AdamW([{"params": [torch.zeros(1)], "lr": lr} for lr in lrs], foreach=False)


def lrs_of(opt: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in opt.param_groups]


@given(st.lists(st.floats(0, 10), max_size=5))
def test_factors_multiply_to_the_same_bits_in_any_order(factors: list[float]) -> None:
    assert len({multiply(order) for order in itertools.permutations(factors)}) == 1
    assert multiply(factors) == pytest.approx(math.prod(factors), rel=1e-12)


def test_a_factor_may_differ_between_groups_and_ratios_survive() -> None:
    opt = optimizer(0.1, 0.01)
    rates = LearningRates(opt)
    rates.write_([0.5, [1.0, 2.0]])
    assert lrs_of(opt) == pytest.approx([0.05, 0.01])
    rates.write_([1.0])
    assert lrs_of(opt) == [0.1, 0.01]


def test_a_tensor_is_written_in_place() -> None:
    lr = torch.tensor(0.1)
    opt = optimizer(lr)
    LearningRates(opt).write_([0.5])
    assert opt.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.05)


def test_the_base_is_what_the_optimizer_was_built_with_whatever_a_scheduler_did() -> None:
    opt = optimizer(0.1, 0.2)
    torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 0.5)
    assert LearningRates(opt).base == [0.1, 0.2]
    opt = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10)
    assert LearningRates(opt).base == [0.3]


def test_a_group_that_is_added_later_is_taken_in_with_its_own_rate() -> None:
    opt = optimizer(0.1)
    rates = LearningRates(opt)
    rates.write_([0.5])
    opt.add_param_group({"params": [torch.zeros(1)], "lr": 0.02})
    assert rates.write_([0.5]) is None
    assert lrs_of(opt) == [0.05, 0.01]


@pytest.mark.parametrize("tensor", [False, True])
def test_a_second_writer_is_noticed_and_overwritten(tensor: bool) -> None:
    opt = optimizer(0.1, torch.tensor(0.1) if tensor else 0.1)
    rates = LearningRates(opt)
    assert rates.write_([1.0]) is None
    assert rates.write_([0.5]) is None
    if tensor:
        opt.param_groups[1]["lr"].fill_(0.7)
    else:
        opt.param_groups[1]["lr"] = 0.7
    found = rates.write_([0.25])
    assert found is not None
    assert (found.group, found.found, found.expected) == (1, pytest.approx(0.7), pytest.approx(0.05))
    assert lrs_of(opt) == pytest.approx([0.025, 0.025])


def test_groups_that_were_built_with_one_tensor_have_rates_of_their_own() -> None:
    groups = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)]}]
    opt = torch.optim.Adam(groups, lr=torch.tensor(0.1))
    rates = LearningRates(opt)
    for factors in ([0.5, 1.0], [0.25, 0.5]):
        assert rates.write_([factors]) is None
        assert lrs_of(opt) == pytest.approx([0.1 * factor for factor in factors])


def test_an_optimizer_without_a_learning_rate_is_refused() -> None:
    opt = optimizer(0.1)
    opt.param_groups[0]["lr"] = None
    with pytest.raises(ValueError, match=r"AdamW has no learning rate \(`lr`=None\)"):
        LearningRates(opt)


def test_a_group_that_comes_later_is_given_what_the_optimizer_was_built_with() -> None:
    p, q = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    rates = LearningRates(torch.optim.Adam([p], lr=torch.tensor(0.1)))
    rates.write_([0.5])
    rates.optimizer.add_param_group({"params": [q]})
    rates.write_([0.5])
    assert [float(group["lr"]) for group in rates.optimizer.param_groups] == pytest.approx([0.05, 0.05])
