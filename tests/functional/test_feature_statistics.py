"""Feature statistics: equal to NumPy in float64, however the rows are parted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tricks.functional.feature_statistics import (
    measure_features,
    merge_features,
    name_features,
    nonfinite_features,
    normalize_features,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 60), max_size=4), st.sampled_from([0.0, 1e3, 1e6]), st.integers(0, 9))
def test_any_parting_of_the_rows_gives_numpys_mean_and_deviation(cuts: list[int], offset: float, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(offset, [1.0, 10.0, 0.1], size=(60, 3))
    parts = np.split(rows, sorted(cuts))
    merged = merge_features(measure_features(torch.from_numpy(part)) for part in parts)
    assert merged.count == 60
    np.testing.assert_allclose(merged.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(merged.std, rows.std(0), rtol=1e-8)


@pytest.mark.parametrize(
    ("shape", "dim", "axes"), [((5, 3, 4, 6), 1, (0, 2, 3)), ((5, 7, 3), -1, (0, 1)), ((5, 3), 1, 0)]
)
def test_each_feature_is_measured_over_all_other_dimensions(shape: tuple[int, ...], dim: int, axes: object) -> None:
    values = np.random.default_rng(0).normal(5, 2, shape)
    measured = measure_features(torch.from_numpy(values), dim)
    np.testing.assert_allclose(measured.mean, values.mean(axes), rtol=1e-12)  # type: ignore[arg-type]
    normalized = normalize_features(torch.from_numpy(values), measured.mean, measured.std, dim).numpy()
    np.testing.assert_allclose(normalized.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(normalized.std(axes), 1, rtol=1e-12)


def test_padding_is_neither_measured_nor_changed() -> None:
    values = torch.tensor([[[1.0], [3.0], [0.0]], [[5.0], [0.0], [0.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    measured = measure_features(values, -1, mask)
    assert (measured.count, measured.mean.item()) == (3, 3.0)
    normalized = normalize_features(values, measured.mean, measured.std, -1, mask=mask)
    assert normalized[~mask].abs().sum() == 0
    assert normalized[mask].mean() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float64])
def test_integers_become_floating_and_floating_dtypes_are_kept(dtype: torch.dtype) -> None:
    values = torch.tensor([[0.0], [1.0]]).to(dtype)
    measured = measure_features(values)
    normalized = normalize_features(values, measured.mean, measured.std)
    assert normalized.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert normalized.flatten().tolist() == [-1, 1]


def test_a_constant_feature_is_centered_and_not_divided() -> None:
    values = torch.tensor([[5.0, 1.0], [5.0, 2.0]])
    measured = measure_features(values)
    assert normalize_features(values, measured.mean, measured.std)[:, 0].tolist() == [0, 0]
    later = normalize_features(torch.tensor([[6.0, 1.0]]), measured.mean, measured.std)
    assert later[0, 0] == 1


def test_nan_and_infinite_features_are_named() -> None:
    values = torch.zeros(4, 30)
    values[1, 3], values[2, 7] = torch.nan, torch.inf
    bad = merge_features([measure_features(values[:2]), measure_features(values[2:])])
    assert nonfinite_features(bad) == [3, 7]
    assert name_features(range(30)) == "features 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more"
    assert name_features([4]) == "feature 4"


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="sparse input"):
        measure_features(torch.eye(3).to_sparse())
    with pytest.raises(ValueError, match=r"`dim`=1 is not a feature dimension of an input of shape \(3,\)"):
        measure_features(torch.ones(3))
    with pytest.raises(ValueError, match=r"`mask` must have the shape .*\(2, 4\), got \(2, 3\)"):
        measure_features(torch.ones(2, 4, 5), -1, torch.ones(2, 3))
    with pytest.raises(ValueError, match="changes between batches: 3, then 4"):
        merge_features([measure_features(torch.ones(2, 3)), measure_features(torch.ones(2, 4))])
