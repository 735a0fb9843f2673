"""Casts to float32 keep float64 in the code of libraries, and stay as they are in the user's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_tricks.engine.gradcheck.library_casts import KeepDouble

CALLS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x.float(),
    lambda x: x.to(torch.float32),
    lambda x: x.to(dtype=torch.float32),
    lambda x: F.softmax(x, 0, dtype=torch.float32),
    lambda x: torch.zeros(3, dtype=torch.float32) + x,
]


def as_library(call: Callable[[Tensor], Tensor]) -> Any:
    """Return the function as if it were written in a file of an installed library."""
    code = call.__code__.replace(co_filename="/usr/lib/site-packages/library/model.py")
    return type(call)(code, call.__globals__)


@pytest.mark.parametrize("call", CALLS)
def test_a_library_keeps_float64_and_the_values_of_its_function(call: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(0, 1, 3, dtype=torch.float64)
    with KeepDouble():
        found = as_library(call)(x)
    assert found.dtype == torch.float64
    assert torch.allclose(found, call(x).double(), atol=1e-6)


@pytest.mark.parametrize("call", CALLS[:4])
def test_the_users_own_cast_stays(call: Callable[[Tensor], Tensor]) -> None:
    with KeepDouble():
        assert call(torch.ones(3, dtype=torch.float64)).dtype == torch.float32


def test_other_casts_of_a_library_stay() -> None:
    with KeepDouble():
        assert as_library(lambda x: x.half())(torch.ones(3, dtype=torch.float64)).dtype == torch.float16
        assert as_library(lambda x: x.long())(torch.ones(3, dtype=torch.float64)).dtype == torch.int64
