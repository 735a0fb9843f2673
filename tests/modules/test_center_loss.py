"""Center loss: the paper's equations, and the same centers on all ranks."""

import sys
from typing import Any

import pytest
import torch
from ranks import load_ranks
from subprocesses import run_script
from torch import Tensor

from lightning_tricks import CenterLoss, LossBalancer, weighted_sampler


def batch(count: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, generator=generator), torch.randint(3, (count,), generator=generator)


def test_the_loss_is_taken_before_the_centers_move_and_they_move_by_equation_4() -> None:
    center_loss = CenterLoss(3, 2, alpha=0.3)
    centers = torch.zeros(3, 2)
    for seed in range(3):
        x, y = batch(seed=seed)
        expected = ((x - centers[y]) ** 2).sum(1).mean() / 2
        for j in range(3):
            members = x[y == j]
            centers[j] -= 0.3 * (centers[j] - members).sum(0) / (1 + len(members))
        torch.testing.assert_close(center_loss(x, y), expected)
        torch.testing.assert_close(center_loss.centers, centers)


def test_the_gradient_reaches_the_features_and_nothing_else() -> None:
    center_loss = CenterLoss(3, 2)
    x, y = batch()
    x.requires_grad_()
    center_loss(x, y).backward()
    torch.testing.assert_close(x.grad, x.detach() / 7)
    assert list(center_loss.parameters()) == []
    assert list(center_loss.state_dict()) == ["centers"]


def test_in_eval_mode_the_centers_stay() -> None:
    center_loss = CenterLoss(3, 2)
    center_loss(*batch())
    before = center_loss.centers.clone()
    center_loss.eval()(*batch(seed=1))
    assert torch.equal(center_loss.centers, before)


def test_rows_that_are_not_finite_do_not_move_the_centers() -> None:
    center_loss, clean = CenterLoss(3, 2), CenterLoss(3, 2)
    x, y = batch()
    clean(x, y)
    broken = torch.cat([x, torch.tensor([[float("nan"), 0.0], [1.0, float("inf")]])])
    assert not center_loss(broken, torch.cat([y, torch.tensor([0, 1])])).isfinite()
    torch.testing.assert_close(center_loss.centers, clean.centers)


def test_half_precision_features_move_float32_centers() -> None:
    center_loss = CenterLoss(3, 2)
    x, y = batch()
    assert center_loss(x.bfloat16(), y).dtype == torch.float32
    assert center_loss.centers.dtype == torch.float32


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("ranks")
    finished = run_script("transfer_ranks", folder)
    assert finished.returncode == 0, finished.stderr
    return load_ranks(folder)


def test_two_ranks_with_different_batches_equal_one_process_with_both(two_ranks: list[dict[str, Tensor]]) -> None:
    import transfer_ranks

    x, y, _ = transfer_ranks.data().tensors
    alone, balancer = CenterLoss(4, 3), LossBalancer(["main", "extra"], max_ratio=10.0)
    for step, rows in enumerate(torch.cat([rank["rows"] for rank in two_ranks], 1)):
        loss = alone(x[rows], y[rows])
        balancer({"main": loss, "extra": 1000 * loss})
        torch.testing.assert_close(loss, sum(rank["losses"][step] for rank in two_ranks) / 2)
    first, second = two_ranks
    assert not torch.equal(first["rows"], second["rows"])
    for name, expected in (("centers", alone.centers), ("means", balancer.means)):
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], expected)
    sys.modules.pop("transfer_ranks", None)


def test_under_a_trainer_each_rank_gets_its_share_of_one_draw(two_ranks: list[dict[str, Tensor]]) -> None:
    sampler = weighted_sampler(torch.arange(1, 25), 12, seed=1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        seen = torch.cat([rank["rows"][2 * epoch : 2 * epoch + 2].flatten() for rank in two_ranks])
        assert sorted(seen.tolist()) == sorted(sampler)


@pytest.mark.parametrize(
    ("features", "target", "error", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 1]), ValueError, r"shape \(N, 2\) with N >= 1, got \(2, 3\)"),
        (torch.zeros(0, 2), torch.zeros(0).long(), ValueError, r"got \(0, 2\)"),
        (torch.zeros(2, 2), torch.tensor([0]), ValueError, r"`target` must have shape \(2,\), got \(1,\)"),
        (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), TypeError, r"use `target.long\(\)`"),
    ],
)
def test_it_refuses(features: Tensor, target: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CenterLoss(3, 2)(features, target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be at least 1"),
        ({"num_features": 0}, "`num_features` must be at least 1"),
        ({"alpha": 1.5}, r"`alpha` must lie in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CenterLoss(**{"num_classes": 2, "num_features": 2, **arguments})
