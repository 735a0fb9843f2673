"""The three ways to clip, against torch, timm's formula written out, and their limits."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_tricks import adaptive_clip_, clip_by_norm_, clip_by_value_

SHAPES = [(), (1,), (7,), (3, 5), (1, 4), (5, 1), (2, 3, 4), (4, 2, 3, 3)]


def parameters(seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for i, shape in enumerate(SHAPES):
        param = nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
        param.grad = (scale * torch.randn(shape, generator=generator)).to(dtype)
        if i == 3:
            param.data[0] = 0  # a unit of zeros
            param.grad.data[1] = 0  # a unit without gradient
        made.append(param)
    return made


def grads(params: list[nn.Parameter]) -> list[Tensor]:
    return [param.grad for param in params]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
@given(seed=st.integers(0, 2**31), max_norm=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_clipping_by_norm_equals_torchs(norm_type: float, seed: int, max_norm: float) -> None:
    ours, theirs = parameters(seed), parameters(seed)
    total = clip_by_norm_(grads(ours), max_norm, norm_type)
    torch.testing.assert_close(total, torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type))
    for a, b in zip(grads(ours), grads(theirs), strict=True):
        torch.testing.assert_close(a, b)


def test_clipping_by_norm_equals_torchs_to_the_last_bit_where_both_sum_alike() -> None:
    ours, theirs = parameters(0, 10.0), parameters(0, 10.0)
    assert torch.equal(clip_by_norm_(grads(ours), 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    assert all(map(torch.equal, grads(ours), grads(theirs)))


def test_clipping_by_norm_takes_one_tensor_a_threshold_on_the_device_and_gaps() -> None:
    grad = torch.tensor([3.0, 4.0])
    assert clip_by_norm_([None, grad, None], torch.tensor(1.0)).item() == 5
    torch.testing.assert_close(grad, torch.tensor([0.6, 0.8]))
    assert clip_by_norm_(grad, 10.0).item() == pytest.approx(1.0)
    torch.testing.assert_close(grad, torch.tensor([0.6, 0.8]))


def test_a_gradient_below_the_bound_is_left_alone_to_the_last_bit() -> None:
    params = parameters(1)
    before = [grad.clone() for grad in grads(params)]
    clip_by_norm_(grads(params), 1e6)
    clip_by_value_(grads(params), 1e6)
    adaptive_clip_(params, 1e6)
    assert all(map(torch.equal, before, grads(params)))


@given(seed=st.integers(0, 2**31), clip_value=st.floats(1e-3, 10))
@settings(max_examples=20, deadline=None)
def test_clipping_by_value_equals_torchs(seed: int, clip_value: float) -> None:
    ours, theirs = parameters(seed), parameters(seed)
    expected = torch.nn.utils.get_total_norm(grads(theirs))
    torch.testing.assert_close(clip_by_value_(grads(ours), clip_value), expected)
    torch.nn.utils.clip_grad_value_(theirs, clip_value)
    assert all(map(torch.equal, grads(ours), grads(theirs)))


def timm(params: list[nn.Parameter], clip_factor: float, eps: float) -> None:
    """timm.utils.agc.adaptive_clip_grad, written out."""
    for p in params:
        if p.ndim <= 1:
            norms = [x.norm(2) for x in (p.detach(), p.grad)]
        else:
            norms = [x.norm(2, dim=tuple(range(1, p.ndim)), keepdim=True) for x in (p.detach(), p.grad)]
        limit = norms[0].clamp(min=eps).mul(clip_factor)
        clipped = p.grad * (limit / norms[1].clamp(min=1e-6))
        p.grad = torch.where(norms[1] < limit, p.grad, clipped)


@given(seed=st.integers(0, 2**31), clip_factor=st.floats(1e-4, 10), eps=st.sampled_from([1e-3, 1e-8, 1.0]))
@settings(max_examples=30, deadline=None)
def test_adaptive_clipping_equals_timms_formula(seed: int, clip_factor: float, eps: float) -> None:
    ours, theirs = parameters(seed), parameters(seed)
    expected = torch.nn.utils.get_total_norm(grads(theirs))
    torch.testing.assert_close(adaptive_clip_(ours, clip_factor, eps), expected)
    timm(theirs, clip_factor, eps)
    for a, b in zip(grads(ours), grads(theirs), strict=True):
        torch.testing.assert_close(a, b)


def test_adaptive_clipping_bounds_every_unit_by_its_share() -> None:
    params = parameters(3, scale=100.0)
    grads = [param.grad.clone() for param in params]
    adaptive_clip_(params, 0.01)
    for param, grad in zip(params, grads, strict=True):
        dims = tuple(range(1, param.ndim)) if param.ndim > 1 else None
        limit = 0.01 * torch.linalg.vector_norm(param.detach(), dim=dims).clamp(min=1e-3)
        before, after = (torch.linalg.vector_norm(value, dim=dims) for value in (grad, param.grad))
        torch.testing.assert_close(after, torch.minimum(before, limit), rtol=1e-5, atol=0)


def test_adaptive_clipping_lets_a_unit_of_zeros_move() -> None:
    weight = nn.Parameter(torch.zeros(2, 3))
    weight.grad = torch.ones(2, 3)
    adaptive_clip_(weight)
    torch.testing.assert_close(torch.linalg.vector_norm(weight.grad, dim=1), torch.full((2,), 1e-5))


def test_adaptive_clipping_leaves_a_unit_below_its_limit_alone_however_small_both_are() -> None:
    weight = nn.Parameter(torch.zeros(1, 2))
    weight.grad = torch.tensor([[3e-9, 4e-9]])
    before = weight.grad.clone()
    adaptive_clip_(weight, 0.01, eps=1e-6)
    assert torch.equal(weight.grad, before)


def test_adaptive_clipping_of_a_sparse_gradient_equals_that_of_the_dense_one() -> None:
    table = torch.randn(6, 4)
    index = torch.tensor([1, 3, 3, 5])
    clipped = []
    for sparse in (True, False):
        embedding = nn.Embedding(6, 4, sparse=sparse)
        embedding.weight.data.copy_(table)
        embedding(index).square().sum().backward()
        total = adaptive_clip_([embedding.weight], 0.1)
        clipped.append((total, embedding.weight.grad.to_dense() if sparse else embedding.weight.grad))
    torch.testing.assert_close(clipped[0], clipped[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_clipped_in_place_and_measured_in_at_least_single(dtype: torch.dtype) -> None:
    for clip in (lambda p: clip_by_norm_(grads(p), 0.5), lambda p: adaptive_clip_(p, 0.5)):
        params, exact = parameters(0, dtype=dtype), parameters(0, dtype=dtype)
        for param in exact:
            param.data, param.grad = param.data.double(), None if param.grad is None else param.grad.double()
        before, expected = clip(params), clip(exact)
        assert before.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(before.double(), expected, rtol=1e-5, atol=0)
        for a, b in zip(grads(params), grads(exact), strict=True):
            assert a.dtype == dtype
            torch.testing.assert_close(a.double(), b, rtol=1e-2, atol=1e-6)


def test_complex_gradients_are_clipped_by_their_modulus() -> None:
    grad = torch.tensor([3 + 4j, 0j])
    assert clip_by_norm_([grad], 1.0).item() == 5
    torch.testing.assert_close(grad, torch.tensor([0.6 + 0.8j, 0j]))
    param = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    param.grad = torch.full((2, 2), 3 + 4j)
    adaptive_clip_(param, 0.1)
    torch.testing.assert_close(torch.linalg.vector_norm(param.grad, dim=1), torch.full((2,), 0.1 * 2**0.5))


@pytest.mark.parametrize("nonfinite", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_shows_in_what_is_returned(nonfinite: float) -> None:
    for clip in (lambda p: clip_by_norm_(grads(p), 1.0), lambda p: clip_by_value_(grads(p), 1.0), adaptive_clip_):
        params = parameters(0)
        params[4].grad.view(-1)[2] = nonfinite
        assert not clip(params).isfinite()


def test_without_gradients_nothing_happens() -> None:
    param = nn.Parameter(torch.ones(3))
    assert clip_by_norm_([], 1.0).item() == clip_by_value_([None], 1.0).item() == adaptive_clip_([param]).item() == 0
    assert param.grad is None


@pytest.mark.parametrize("bad", [0, -1.0, math.nan])
def test_a_bound_that_bounds_nothing_is_refused(bad: float) -> None:
    for call in (
        lambda: clip_by_norm_([], bad),
        lambda: clip_by_value_([], bad),
        lambda: adaptive_clip_([], bad),
        lambda: adaptive_clip_([], 0.1, bad),
        lambda: clip_by_norm_([], 1.0, bad),
    ):
        with pytest.raises(ValueError, match=rf"must be finite and > 0, got {bad}"):
            call()
    with pytest.raises(TypeError, match="`max_norm` must be a number, got None"):
        clip_by_norm_([], None)
