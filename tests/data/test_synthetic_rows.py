"""Copies with noise, and rows drawn from each class's normal distribution."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import NoisyCopies, sample_like


def table(count: int = 200) -> TensorDataset:
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 0.0]) + 5
    return TensorDataset(x, torch.arange(count) % 2)


def test_the_rows_come_first_and_then_copies_with_noise_in_each_features_own_scale() -> None:
    data = table()
    noisy = NoisyCopies(data, copies=3, scale=0.1)
    assert len(noisy) == 800
    assert all(torch.equal(noisy[i][0], data[i][0]) for i in range(200))
    differences = torch.stack([noisy[i][0] - data[i % 200][0] for i in range(200, 800)])
    torch.testing.assert_close(differences.std(0)[:2], 0.1 * data.tensors[0].std(0)[:2], rtol=0.1, atol=0)
    assert differences[:, 2].abs().max() == 0
    assert torch.corrcoef(differences[:, :2].T)[0, 1].abs() < 0.1
    assert [noisy[i][1].item() for i in range(200, 800)] == [i % 2 for i in range(600)]
    assert torch.equal(noisy[-1][0], noisy[799][0])


def test_a_copy_is_the_same_in_each_epoch_worker_and_process() -> None:
    before = torch.random.get_rng_state()
    first, second = NoisyCopies(table(20), copies=2), NoisyCopies(table(20), copies=2)
    assert all(torch.equal(first[i][0], second[i][0]) for i in reversed(range(60)))
    assert not torch.equal(first[20][0], first[40][0])
    assert not torch.equal(first[20][0], NoisyCopies(table(20), seed=1)[20][0])
    assert torch.equal(before, torch.random.get_rng_state())
    loaded = torch.cat([x for x, _ in DataLoader(first, 7, num_workers=1)])
    assert torch.equal(loaded, torch.stack([first[i][0] for i in range(60)]))


class Named(NamedTuple):
    x: Tensor
    y: int


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: x,
        lambda x, y: (x, y),
        lambda x, y: [x, y],
        lambda x, y: {"x": x, "y": y},
        lambda x, y: Named(x, y),
        lambda x, y: (x.numpy(), y),
        lambda x, y: (x.half(), y),
    ],
    ids=["tensor", "tuple", "list", "mapping", "named tuple", "array", "half precision"],
)
def test_a_copy_has_the_form_of_its_row(make: Any) -> None:
    data = [make(torch.tensor([float(i), 1.0]), i) for i in range(4)]
    row, copy = NoisyCopies(data)[1], NoisyCopies(data)[5]
    assert type(copy) is type(row)
    if isinstance(row, dict):
        row, copy = list(row.values()), list(copy.values())
    if not isinstance(row, Tensor):
        assert type(copy[0]) is type(row[0])
        assert copy[1] == row[1]
        row, copy = row[0], copy[0]
    assert copy.dtype == row.dtype
    assert copy[0] != row[0]
    assert copy[1] == row[1]


@pytest.mark.parametrize(
    ("data", "arguments", "error", "message"),
    [
        ([], {}, ValueError, "at least one row"),
        (iter([]), {}, TypeError, "map-style"),
        ([(torch.tensor([1, 2]), 0)], {}, TypeError, "floating-point tensor or array, got torch.int64 in row 0"),
        ([("text", 0)], {}, TypeError, "got str in row 0"),
        ([torch.zeros(2), torch.zeros(3)], {}, ValueError, r"one shape, got \(2,\) and, in row 1, \(3,\)"),
        ([torch.zeros(1), torch.tensor([float("nan")])], {}, ValueError, "`dataset` must be finite.*in row 1"),
        ([()], {}, ValueError, "at least one entry"),
        ([torch.zeros(2)], {"copies": 0}, ValueError, "`copies` must be at least 1, got 0"),
        ([torch.zeros(2)], {"scale": 0.0}, ValueError, "`scale` must be finite and > 0"),
    ],
)
def test_noisy_copies_refuse(data: Any, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NoisyCopies(data, **arguments)


def test_an_index_outside_of_the_rows_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="There are 4 rows, got index 4"):
        NoisyCopies([torch.zeros(1)] * 2)[4]


def two_classes(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[1.0, 0.8], [0.0, 0.6]])
    x = torch.randn(count, 2, generator=generator) @ mix
    y = torch.arange(count) % 4 // 3  # three quarters of class 0
    return x + 10 * y.view(-1, 1), y


@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0])
def test_drawn_rows_have_the_means_and_the_shrunk_covariances_of_their_classes(shrinkage: float) -> None:
    x, y = two_classes(400)
    rows, classes = sample_like(x, y, 40_000, shrinkage=shrinkage)
    assert classes.bincount().tolist() == [30_000, 10_000]
    for label in (0, 1):
        ours, theirs = rows[classes == label], x[y == label]
        torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.05, rtol=0)
        expected = torch.cov(theirs.T)
        expected = (1 - shrinkage) * expected + shrinkage * expected.diag().diag()
        torch.testing.assert_close(torch.cov(ours.T), expected, atol=0.05, rtol=0)


def test_the_draw_keeps_shape_and_dtype_and_depends_on_the_seed_alone() -> None:
    x, y = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)).half(), np.array([0, 1, 2] * 2)
    before = torch.random.get_rng_state()
    rows, classes = sample_like(x, y, 7)
    assert rows.shape == (7, 1, 2, 2)
    assert rows.dtype == torch.float16
    assert sorted(classes.bincount().tolist()) == [2, 2, 3]
    assert torch.equal(rows, sample_like(x, y, 7)[0])
    assert not torch.equal(rows, sample_like(x, y, 7, seed=1)[0])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": torch.tensor([0, 0, 1])}, ValueError, "at least 2 rows.*got 1 of class 1.*NoisyCopies"),
        ({"y": torch.tensor([0, 0])}, ValueError, r"`y` must have shape \(3,\), one class per row, got \(2,\)"),
        ({"y": torch.tensor([0.0, 0.5, 1.0])}, TypeError, r"use `y.long\(\)`"),
        ({"x": torch.full((3, 2), float("inf"))}, ValueError, "`x` must be finite"),
        ({"n": 0}, ValueError, "`n` must be at least 1"),
        ({"shrinkage": 2.0}, ValueError, r"`shrinkage` must lie in \[0, 1\], got 2.0"),
    ],
)
def test_sample_like_refuses(arguments: Any, error: type[Exception], message: str) -> None:
    given = {"x": torch.zeros(3, 2), "y": torch.zeros(3, dtype=torch.long), "n": 5, **arguments}
    with pytest.raises(error, match=message):
        sample_like(given.pop("x"), given.pop("y"), given.pop("n"), **given)
