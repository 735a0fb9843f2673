"""Penalties: the value is the formula, the gradient is autograd's of the value."""

import pytest
import torch
from torch import Tensor, nn

from lightning_tricks.functional.penalties import add_penalty_grads_, weight_penalty


def parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in ((3, 4), (5,), ())]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_gradient_is_autograds_of_the_value(dtype: torch.dtype) -> None:
    ours, written = parameters(dtype), parameters(dtype)
    ours[0].data[0, 0] = written[0].data[0, 0] = 0
    written[0].grad, ours[0].grad = torch.ones(3, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype)
    (0.5 * weight_penalty(written, l1=0.3, l2=0.7)).backward()
    add_penalty_grads_(ours, l1=0.3, l2=0.7, scale=0.5)
    for mine, theirs in zip(ours, written, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_sparse_gradient_becomes_dense_as_autograd_has_it() -> None:
    def grad_of(embedding: nn.Embedding) -> Tensor:
        embedding(torch.tensor([1, 1])).sum().backward()
        add_penalty_grads_([embedding.weight], l2=1.0)
        assert embedding.weight.grad is not None
        return embedding.weight.grad

    torch.manual_seed(0)
    weight = torch.randn(3, 2)
    sparse = grad_of(nn.Embedding(3, 2, sparse=True, _weight=weight.clone()))
    assert sparse.layout == torch.strided
    torch.testing.assert_close(sparse, grad_of(nn.Embedding(3, 2, _weight=weight.clone())))


def test_no_penalty_makes_no_gradient() -> None:
    weight = nn.Parameter(torch.ones(2))
    add_penalty_grads_([weight], 0.0, 0.0)
    add_penalty_grads_([weight], 1.0, 1.0, scale=0.0)
    assert weight.grad is None


def test_a_half_precision_weight_keeps_its_dtype_and_its_value() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float16))
    assert weight_penalty([weight], l1=1.0).item() == 3
    add_penalty_grads_([weight], l1=0.5)
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float16
    assert weight.grad.tolist() == [0.5, -0.5]
