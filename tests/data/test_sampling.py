"""Weights of classes, and draws that are the same everywhere."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import class_weights, weighted_sampler


@given(st.lists(st.integers(0, 4), min_size=1, max_size=50).map(lambda labels: [*labels, 0, 1, 2, 3, 4]))
@settings(max_examples=30, deadline=None)
def test_all_classes_weigh_alike_and_the_mean_over_rows_is_one(labels: list[int]) -> None:
    targets = torch.tensor(labels)
    weights = class_weights(targets)
    torch.testing.assert_close(weights * targets.bincount(), torch.full((5,), len(labels) / 5))
    torch.testing.assert_close(weights[targets].mean(), torch.tensor(1.0))
    torch.testing.assert_close(class_weights(labels), weights)
    torch.testing.assert_close(class_weights(targets.numpy()), weights)


def test_class_weights_take_the_targets_of_a_segmentation_and_booleans() -> None:
    masks = torch.zeros(2, 3, 4, dtype=torch.long)
    masks[0] = 1
    masks[1, 0] = 1
    assert class_weights(masks).tolist() == class_weights(masks.flatten()).tolist() == [1.5, 0.75]
    assert class_weights(torch.tensor([True, False, True, True])).tolist() == [2.0, pytest.approx(2 / 3)]


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, 2, 2, 4], ValueError, "no rows of class 1, 3, .*infinite weight.*return_inverse"),
        ([], ValueError, "at least one class index"),
        ([0, -100], ValueError, r"must not be negative, got -100.*targets\[targets >= 0\]"),
        ([0.0, 1.0], TypeError, r"use `targets.long\(\)`"),
        (torch.eye(3).long(), ValueError, r"one-hot rows \(3, 3\); use `targets.argmax\(1\)`"),
        (["a"], TypeError, "must contain numbers"),
    ],
)
def test_class_weights_refuse(targets: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        class_weights(targets)


def test_rows_are_drawn_in_proportion_and_those_of_weight_zero_never() -> None:
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])
    counts = Counter(weighted_sampler(weights, 10_000))
    assert set(counts) == {1, 3}
    assert counts[3] / counts[1] == pytest.approx(3, rel=0.1)


def test_a_row_of_weight_zero_is_not_drawn_at_the_edge_of_its_empty_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda count, **_: torch.zeros(count, dtype=torch.float64))
    assert list(weighted_sampler([0.0, 0.0, 1.0, 2.0], 3)) == [2, 2, 2]


def test_a_draw_depends_on_seed_and_epoch_alone_and_each_epoch_makes_another() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second = weighted_sampler([1.0] * 50, seed=3), weighted_sampler([1.0] * 50, seed=3)
    epochs = [list(first) for _ in range(3)]
    assert epochs == [list(second) for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    second.set_epoch(1)
    assert list(second) == epochs[1]
    assert list(weighted_sampler([1.0] * 50, seed=4)) not in epochs
    assert torch.equal(before, torch.random.get_rng_state())


def test_ranks_share_one_global_draw_under_lightnings_injection() -> None:
    shares = []
    for rank in range(3):
        wrapped = DistributedSamplerWrapper(weighted_sampler(range(1, 31), 12), num_replicas=3, rank=rank)
        wrapped.set_epoch(5)
        shares.append(list(wrapped))
    alone = weighted_sampler(range(1, 31), 12)
    alone.set_epoch(5)
    assert [len(rows) for rows in shares] == [4, 4, 4]
    assert sorted(row for rows in shares for row in rows) == sorted(alone)


def test_it_is_a_sampler_of_an_ordinary_loader() -> None:
    data = TensorDataset(torch.arange(4))
    batches = [batch.tolist() for (batch,) in DataLoader(data, 3, sampler=weighted_sampler([1, 1, 1, 0], 7))]
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert 3 not in {row for batch in batches for row in batch}


@pytest.mark.parametrize(
    ("weights", "num_samples", "message"),
    [
        ([0.0, 0.0], None, "must not sum to zero, got 2 weights of 0"),
        ([1.0, -0.5], None, "must not be negative, got -0.5 in row 1"),
        ([1.0, float("nan")], None, "NaN or infinity in 1 of 2 rows, the first in row 1"),
        ([[1.0]], None, r"shape \(N,\), one weight per row, got \(1, 1\)"),
        ([], None, r"got \(0,\)"),
        ([1.0], 0, "`num_samples` must be at least 1, got 0"),
    ],
)
def test_the_sampler_refuses(weights: Any, num_samples: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_sampler(weights, num_samples)
