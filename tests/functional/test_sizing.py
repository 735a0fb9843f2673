"""Widths and batch sizes against the rules of thumb, at their limits and with wrong arguments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks import hidden_width, hidden_width_by_samples, suggest_batch_sizes

counts = st.integers(1, 10**6)


@pytest.mark.parametrize(("inputs", "outputs", "width"), [(64, 10, 53), (3, 1, 3), (1, 1, 2), (784, 10, 533)])
def test_the_width_is_two_thirds_of_the_inputs_plus_the_outputs(inputs: int, outputs: int, width: int) -> None:
    assert hidden_width(inputs, outputs) == width


@given(counts, counts, counts, st.floats(2, 10))
def test_the_width_by_samples_is_the_largest_that_leaves_a_rows_for_each_weight(
    rows: int, inputs: int, outputs: int, a: float
) -> None:
    width = hidden_width_by_samples(rows, inputs, outputs, a)
    assert width == 1 or width * a * (inputs + outputs) <= rows * (1 + 1e-12)
    assert (width + 1) * a * (inputs + outputs) > rows * (1 - 1e-12)
    assert hidden_width_by_samples(rows, inputs, outputs, 10) <= width <= hidden_width_by_samples(rows, inputs, outputs)


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(1, [1]), (1999, [1999]), (2000, [64, 128, 256, 512]), (10**7, [64, 128, 256, 512])],
)
def test_batch_sizes_are_the_full_batch_below_two_thousand_rows_else_powers_of_two(rows: int, sizes: list[int]) -> None:
    assert suggest_batch_sizes(rows) == sizes


@pytest.mark.parametrize(
    ("rows", "memory", "sizes"),
    [(5000, 512, [64, 128, 256, 512]), (5000, 511, [64, 128, 256]), (5000, 63, [32]), (5000, 1, [1]),
     (1000, 1000, [1000]), (1000, 999, [64, 128, 256, 512]), (40, 10, [8]), (40, 39, [32])],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_left_out_and_one_is_always_returned(
    rows: int, memory: int, sizes: list[int]
) -> None:
    assert suggest_batch_sizes(rows, bytes_per_row=3.0, memory=3.0 * memory) == sizes


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hidden_width(0, 1), ValueError, "`num_inputs` must be at least 1, got 0"),
        (lambda: hidden_width(2.5, 1), TypeError, "`num_inputs` must be a whole number"),
        (lambda: hidden_width_by_samples(0, 1, 1), ValueError, "`num_samples` must be at least 1"),
        (lambda: hidden_width_by_samples(9, 1, 1, 0), ValueError, "`a` must be finite and > 0, got 0"),
        (lambda: suggest_batch_sizes(0), ValueError, "`num_samples` must be at least 1"),
        (lambda: suggest_batch_sizes(9, memory=1e9), ValueError, "`bytes_per_row` and `memory` must be given together"),
        (lambda: suggest_batch_sizes(9, bytes_per_row=8, memory=7), ValueError, "`memory` must hold at least one row"),
        (lambda: suggest_batch_sizes(9, bytes_per_row=-1, memory=7), ValueError, "`bytes_per_row` must be finite"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
