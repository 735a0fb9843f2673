"""Measuring and scaling lists of tensors of every kind."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_tricks.functional.gradients import clamp_, join_norms, scale_, tensor_norms

SHAPES = [(), (1,), (3,), (0,), (2, 3), (1, 5), (4, 0), (2, 3, 2), (2, 1, 3, 3)]


def tensors(seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype) for shape in SHAPES]


@pytest.mark.parametrize("norm_type", [0.5, 1.0, 2.0, 3.0, math.inf])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_norms_are_those_of_each_tensor_and_join_to_that_of_all(norm_type: float, seed: int) -> None:
    given_ = tensors(seed)
    norms = tensor_norms(given_, norm_type)
    expected = [torch.linalg.vector_norm(t, norm_type) if t.numel() else torch.zeros(()) for t in given_]
    torch.testing.assert_close(norms, torch.stack(expected))
    whole = torch.linalg.vector_norm(torch.cat([t.reshape(-1) for t in given_]), norm_type)
    torch.testing.assert_close(join_norms(norms, norm_type), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm_type", [2.0, math.inf])
def test_half_precision_is_summed_in_single(dtype: torch.dtype, norm_type: float) -> None:
    many = torch.full((10_000,), 3.0, dtype=dtype)
    norm = tensor_norms([many], norm_type)
    assert norm.dtype == torch.float32
    torch.testing.assert_close(norm, tensor_norms([many.float()], norm_type))


@pytest.mark.parametrize("norm_type", [2.0, math.inf])
def test_mixed_dtypes_keep_their_order_and_the_best_precision(norm_type: float) -> None:
    mixed = [torch.ones(4), torch.ones(9, dtype=torch.float64), torch.ones(16, dtype=torch.bfloat16), torch.ones(1)]
    norms = tensor_norms(mixed, norm_type)
    assert norms.dtype == torch.float64
    assert norms.tolist() == ([2, 3, 4, 1] if norm_type == 2 else [1, 1, 1, 1])


def test_the_largest_element_of_a_big_tensor_is_found_on_either_side_and_nan_is_kept() -> None:
    big = torch.linspace(-7, 3, 10_000)
    assert tensor_norms([big], math.inf).item() == 7
    assert tensor_norms([-big], math.inf).item() == 7
    big[5_000] = torch.nan
    assert tensor_norms([big], math.inf).isnan().all()


def test_entries_of_a_sparse_tensor_add_up_before_they_are_measured() -> None:
    sparse = torch.sparse_coo_tensor([[0, 0, 2]], [3.0, -1.0, 4.0], (4,), check_invariants=True)
    assert not sparse.is_coalesced()
    torch.testing.assert_close(tensor_norms([sparse, torch.ones(4)]), torch.tensor([20**0.5, 2.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.float64])
def test_scaling_multiplies_all_kinds(dtype: torch.dtype) -> None:
    dense, sparse = torch.ones(3, dtype=dtype), torch.eye(2, dtype=dtype).to_sparse()
    scale_([dense, sparse, torch.ones(2)], torch.tensor(0.5))
    assert torch.equal(dense, torch.full((3,), 0.5, dtype=dtype))
    assert torch.equal(sparse.to_dense(), torch.eye(2, dtype=dtype) / 2)


def test_scaling_a_sparse_tensor_that_is_not_coalesced_scales_its_sum() -> None:
    sparse = torch.sparse_coo_tensor([[0, 0]], [3.0, 1.0], (2,), check_invariants=True)
    scale_([sparse], torch.tensor(0.5))
    assert sparse.to_dense().tolist() == [2.0, 0.0]


def test_clamping_bounds_the_sum_of_sparse_entries_and_both_parts_of_a_complex_one() -> None:
    sparse = torch.sparse_coo_tensor([[0, 0, 1]], [3.0, -2.5, -9.0], (2,), check_invariants=True)
    dense = torch.tensor([3 - 4j, 0.5 + 0j])
    clamp_([sparse, dense], 1.0)
    assert sparse.to_dense().tolist() == [0.5, -1.0]
    assert dense.tolist() == [1 - 1j, 0.5 + 0j]
