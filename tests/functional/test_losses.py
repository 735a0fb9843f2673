"""Losses between representations, against their papers' equations."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_tricks import contrastive_loss, coral_loss


def rows(count: int, features: int, seed: int = 0) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive_loss_is_equation_4() -> None:
    a, b = rows(50, 3, 1), rows(50, 3, 2)
    same = torch.arange(50) % 2 == 0
    y, distance = (~same).double(), (a - b).norm(dim=1)  # the paper's Y is 0 for similar pairs
    expected = ((1 - y) * distance**2 / 2 + y * (2.5 - distance).clamp(min=0) ** 2 / 2).mean()
    assert (distance[~same] > 2.5).any()
    assert (distance[~same] < 2.5).any()
    for labels in (same, same.long(), same.float()):
        torch.testing.assert_close(contrastive_loss(a, b, labels, margin=2.5), expected)


def test_its_gradient_is_right_and_zero_where_two_rows_coincide() -> None:
    a, b = rows(6, 3, 1).requires_grad_(), rows(6, 3, 2)
    same = torch.tensor([1, 0, 1, 0, 1, 0])
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, b, same, margin=3.0), a)
    for label in (0, 1):
        point = torch.ones(1, 3, requires_grad=True)
        contrastive_loss(point, torch.ones(1, 3), torch.tensor([label])).backward()
        assert point.grad.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 0.0}, "`margin` must be finite and > 0"),
        ({"b": torch.zeros(4, 2)}, r"shape \(N, D\) with N >= 1, got \(4, 3\) and \(4, 2\)"),
        ({"a": torch.zeros(0, 3), "b": torch.zeros(0, 3)}, "N >= 1"),
        ({"same": torch.zeros(4, 1)}, r"`same` must have shape \(4,\).*got \(4, 1\)"),
    ],
)
def test_contrastive_loss_refuses(arguments: dict[str, Any], message: str) -> None:
    given = {"a": torch.zeros(4, 3), "b": torch.zeros(4, 3), "same": torch.zeros(4), **arguments}
    with pytest.raises(ValueError, match=message):
        contrastive_loss(given.pop("a"), given.pop("b"), given.pop("same"), **given)


def test_coral_loss_is_the_distance_of_covariances() -> None:
    source, target = rows(20, 4, 1), rows(30, 4, 2) @ torch.diag(torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)) + 5
    expected = (torch.cov(source.T) - torch.cov(target.T)).norm() ** 2 / (4 * 4**2)
    torch.testing.assert_close(coral_loss(source, target), expected)
    torch.testing.assert_close(coral_loss(source, source + 3), torch.tensor(0.0, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: coral_loss(x, target), source.requires_grad_())


def test_coral_loss_keeps_its_precision_under_autocast() -> None:
    source, target = 300 * rows(20, 4, 1).half(), 300 * rows(20, 4, 2).half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = coral_loss(source, target)
    torch.testing.assert_close(loss, coral_loss(source.float(), target.float()))
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 3), (4, 2)), r"got \(4, 3\) and \(4, 2\)"),
        (((4, 3, 2), (4, 3, 2)), "flatten"),
        (((1, 3), (4, 3)), "at least 2 rows per domain, got 1 and 4"),
    ],
)
def test_coral_loss_refuses(shapes: tuple[tuple[int, ...], tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coral_loss(*map(torch.zeros, shapes))
