"""Momentum: found and written under either name, as a number or as a tensor."""

import torch

from lightning_tricks.functional.momentum import has_momentum, write_momentum_


def test_a_momentum_of_zero_or_none_at_all_is_none() -> None:
    assert [has_momentum(group) for group in ({}, {"momentum": 0}, {"betas": (0.0, 0.9)})] == [False] * 3
    assert [has_momentum(group) for group in ({"momentum": 0.5}, {"betas": (0.9, 0.9)})] == [True] * 2


def test_a_momentum_is_written_where_the_optimizer_keeps_it_and_the_other_betas_stay() -> None:
    group = {"momentum": 0.9}
    write_momentum_(group, 0.5)
    assert group == {"momentum": 0.5}
    group = {"betas": (0.9, 0.99, 0.999)}
    write_momentum_(group, 0.5)
    assert group == {"betas": (0.5, 0.99, 0.999)}


def test_a_tensor_is_written_in_place() -> None:
    beta = torch.tensor(0.9)
    group = {"betas": (beta, torch.tensor(0.99))}
    write_momentum_(group, 0.5)
    assert group["betas"][0] is beta
    assert beta == 0.5
