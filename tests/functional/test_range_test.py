"""The pure range test: grids, averages, divergence, and what each rule says of curves that say something or nothing."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.range_test import (
    METHODS,
    find_divergence,
    find_fault,
    lr_grid,
    read_curve,
    smooth,
    suggest,
)

GRID = lr_grid(1e-7, 10.0, 100)
GOOD = [2.3 - 2 / (1 + math.exp(-(i - 60) / 5)) + 0.3 * max(0, i - 80) for i in range(100)]
rates = st.floats(1e-9, 1e3)


@given(rates, rates, st.integers(2, 200), st.sampled_from(["exponential", "linear"]))
def test_a_grid_rises_from_one_end_to_the_other(low: float, high: float, count: int, mode: str) -> None:
    if not low * 1.01 < high:
        return
    grid = lr_grid(low, high, count, mode)
    assert (grid[0], grid[-1], len(grid)) == (low, high, count)
    assert grid == sorted(grid)
    if count > 2:
        steps = [b / a if mode == "exponential" else b - a for a, b in pairwise(grid)]
        assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)


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


@pytest.mark.parametrize("method", METHODS)
def test_no_rule_suggests_from_a_flat_curve(method: str) -> None:
    lr, reason = suggest(GRID, [0.7] * 100, method)  # type: ignore[arg-type]
    assert lr is None
    assert "flat" in reason


NOISES = {
    "gauss": lambda dice: 1 + 0.1 * dice.gauss(0, 1),
    "around zero": lambda dice: dice.gauss(0, 1),
    "exponential": lambda dice: dice.expovariate(1),
    "uniform": lambda dice: dice.random(),
    "long tail": lambda dice: math.exp(dice.gauss(0, 1)),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("count", [20, 50, 100, 300])
def test_pure_noise_is_refused_in_all_but_a_few_of_a_hundred_sweeps(noise: str, count: int) -> None:
    dice, grid = random.Random(0), lr_grid(1e-7, 10.0, count)
    sweeps = [[NOISES[noise](dice) for _ in grid] for _ in range(200)]
    assert sum(suggest(grid, sweep).lr is not None for sweep in sweeps) <= 6


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_only_rises_gives_no_suggestion(method: str) -> None:
    lr, reason = suggest(GRID, [math.exp(i / 30) for i in range(100)], method)  # type: ignore[arg-type]
    assert lr is None
    assert "never falls" in reason


def test_a_loss_that_only_falls_is_suggested_from_and_said_so() -> None:
    falling = [math.exp(-i / 30) for i in range(100)]
    lr, reason = suggest(GRID, falling)
    assert lr == pytest.approx(1.0)
    assert "raise `max_lr`" in reason
    for method in METHODS:
        found = suggest(GRID, falling, method).lr  # type: ignore[arg-type]
        assert found is not None
        assert GRID[0] <= found <= GRID[-1]


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_that_ends_in_nan_is_read_until_then(method: str) -> None:
    ended = GOOD[:95] + [math.nan] * 5
    assert suggest(GRID, ended, method) == suggest(GRID[:95], GOOD[:95], method)  # type: ignore[arg-type]


def test_the_rules_find_the_places_that_they_are_named_for() -> None:
    lowest = GRID[GOOD.index(min(GOOD))]
    found = {method: suggest(GRID, GOOD, method, smoothing=0.0).lr for method in METHODS}
    assert found["minimum"] == found["auto"] == lowest / 10
    assert found["steep"] == GRID[60]
    assert GRID[20] < found["valley"] < lowest  # type: ignore[operator]
    assert found["slide"] < lowest  # type: ignore[operator]


@given(st.floats(0.01, 100), st.sampled_from(list(METHODS)))
def test_the_unit_of_the_loss_does_not_matter(scale: float, method: str) -> None:
    once = suggest(GRID, GOOD, method).lr  # type: ignore[arg-type]
    assert suggest(GRID, [scale * loss for loss in GOOD], method).lr == once  # type: ignore[arg-type]


def test_a_fall_hidden_by_noise_counts_where_the_loss_breaks_afterwards() -> None:
    dice = random.Random(3)
    hidden = [1 + 0.4 * dice.gauss(0, 1) - 0.3 * (60 < i < 80) for i in range(85)]
    grid = GRID[:100]
    broken = hidden + [10.0 + i for i in range(15)]
    assert suggest(GRID[:85], hidden).lr is None
    lr = suggest(grid, broken).lr
    assert lr is not None
    assert GRID[85] / 1000 <= lr <= GRID[85] / 10


def test_a_training_of_few_steps_gets_a_bolder_share() -> None:
    long, short = suggest(GRID, GOOD, planned_steps=1000), suggest(GRID, GOOD, planned_steps=20)
    assert short.lr == pytest.approx(2 * long.lr)  # type: ignore[operator]
    assert "a fifth" in short.reason


def test_too_few_points_are_refused() -> None:
    assert "finite losses" in str(find_fault(read_curve(GRID[:3], GOOD[:3])))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`min_lr` must be below `max_lr`, got 1 and 0\.1"):
        lr_grid(1.0, 0.1, 5)
    with pytest.raises(ValueError, match="same length"):
        suggest([0.1], [1.0, 2.0])
    with pytest.raises(ValueError, match="`method`"):
        suggest(GRID, GOOD, "best")  # type: ignore[arg-type]
