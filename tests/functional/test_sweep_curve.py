"""The curve of a sweep: its averages, where it diverges, and when it says nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.sweep_curve import (
    begins_too_high,
    explain_break,
    find_divergence,
    find_fault,
    read_curve,
    smooth,
    smooth_evenly,
)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(0, 0.99))
def test_the_average_equals_the_weighted_mean_that_it_is(losses: list[float], smoothing: float) -> None:
    weights = [smoothing**i for i in range(len(losses))]
    mean = sum(w * loss for w, loss in zip(weights, reversed(losses), strict=True)) / sum(weights)
    assert smooth(losses, smoothing)[-1] == pytest.approx(mean, abs=1e-6)


def test_the_average_of_a_constant_is_that_constant_from_the_first_loss_on() -> None:
    assert smooth([1.0] * 20, 0.98) == pytest.approx([1.0] * 20)


def test_from_a_loss_that_is_not_finite_on_no_average_is() -> None:
    smoothed = smooth([1.0, math.inf, 1.0], 0.9)
    assert smoothed[0] == 1
    assert all(map(math.isnan, smoothed[1:]))


@pytest.mark.parametrize(
    ("smoothed", "expected"),
    [
        ([2.0, 1.0, 3.9, 4.0], None),
        ([2.0, 1.0, 4.1], 2),
        ([2.0, math.nan], 1),
        ([-1.0, -2.0, -3.0], None),
        ([-1.0, -2.0, 5.0, 6.1], 3),
        ([1.0, 0.0, 3.9, 4.1], 3),
    ],
)
def test_a_sweep_diverges_above_a_multiple_of_its_best(smoothed: list[float], expected: int | None) -> None:
    assert find_divergence(smoothed, 4.0) == expected


def test_the_first_averages_are_neither_best_nor_divergence() -> None:
    assert find_divergence([0.01, 1.0, 1.0, 3.0, 5.0], 4.0, skip=1) == 4


def test_too_few_points_are_refused() -> None:
    assert "finite losses" in str(find_fault(read_curve([0.1, 0.2, 0.3], [3.0, 2.0, 1.0])))


@given(st.floats(0.3, 20.0), st.integers(20, 80))
def test_an_even_average_has_its_lowest_place_where_the_losses_have_theirs(width: float, lowest: int) -> None:
    losses = [abs(place - lowest) for place in range(lowest * 2 + 1)]
    averages = smooth_evenly(losses, width)
    assert min(range(len(losses)), key=averages.__getitem__) == lowest
    assert smooth_evenly([3.0] * 10, width) == pytest.approx([3.0] * 10)


DOWN = [1.0 - 0.1 * place for place in range(6)]


@pytest.mark.parametrize(
    ("losses", "diverged", "expected"),
    [
        ([*DOWN, *(0.5 + 0.1 * place for place in range(1, 30))], True, True),
        ([1.0] * 20 + [*DOWN, *(0.5 + 0.1 * place for place in range(1, 10))], True, False),
        ([1.0] * 30 + DOWN, False, False),
        ([1.0] * 36, False, False),
        ([1.0, 3.0, 30.0], True, True),
        ([1.0, 3.0, 30.0], False, False),
        ([1.0, math.nan], True, True),
    ],
)
def test_a_sweep_begins_too_high_if_the_loss_is_never_as_low_again(
    losses: list[float], diverged: bool, expected: bool
) -> None:
    lrs = [10.0 ** (place / 12 - 4) for place in range(len(losses))]
    assert begins_too_high(lrs, losses, diverged, smoothing=0.0) is expected


@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_break_is_explained_by_the_data_only_where_the_loss_had_not_risen(count: int) -> None:
    lrs = [10.0 ** (place / 12 - 4) for place in range(count)]
    assert "look for NaN or infinity in the data" in explain_break(lrs, [1.0] * count)
    if count > 1:
        assert explain_break(lrs, [2.0**place for place in range(count)]) == ""
    assert explain_break([], []) == ""
