"""Sums of bits tell every change of a tensor's values, and expanded tensors hold each value once."""

from collections.abc import Callable

import pytest
import torch

from lightning_tricks.core.tensor_copies import bit_sums, changed_names, overwrite_


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,
        torch.bfloat16,
        torch.float16,
        torch.complex64,
        torch.int64,
        torch.uint8,
        torch.bool,
    ],
)
@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_change_of_one_value_changes_the_sum(dtype: torch.dtype, size: int) -> None:
    tensor = torch.zeros(size, dtype=dtype)
    before = bit_sums({"a": tensor, "b": torch.zeros(2)})
    assert changed_names(before, bit_sums({"a": tensor.clone(), "b": torch.zeros(2)})) == []
    tensor[-1] = 1
    assert changed_names(before, bit_sums({"a": tensor, "b": torch.zeros(2), "new": tensor})) == ["a"]


@pytest.mark.parametrize("view", [lambda x: x[:, 1:], lambda x: x.t(), lambda x: x[0, 1:2].expand(3, 1), lambda x: -x])
def test_a_change_is_seen_in_a_view_of_any_strides(view: Callable[[torch.Tensor], torch.Tensor]) -> None:
    table = torch.arange(12.0).view(3, 4)
    before = bit_sums({"a": view(table)})
    assert changed_names(before, bit_sums({"a": view(table.clone())})) == []
    table[0, 1] = 7.0
    assert changed_names(before, bit_sums({"a": view(table)})) == ["a"]


def test_a_change_as_small_as_one_bit_is_seen_through_data() -> None:
    weight = torch.nn.Parameter(torch.ones(1000))
    before = bit_sums({"weight": weight})
    weight.data[500] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    assert changed_names(before, bit_sums({"weight": weight})) == ["weight"]


def test_sums_of_nothing_differ_in_nothing() -> None:
    assert changed_names(bit_sums({"a": torch.zeros(2, device="meta")}), {}) == []


def test_an_expanded_tensor_is_written_from_a_full_copy() -> None:
    base = torch.zeros(4)
    overwrite_(base.expand(3, 4), torch.ones(3, 4))
    assert base.tolist() == [1.0] * 4
    with pytest.raises(RuntimeError):
        overwrite_(base, torch.ones(3))
