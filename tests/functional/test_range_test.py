"""The pure range test: grids, and what each rule says of curves that say something or nothing."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.range_test import METHODS, lr_grid, suggest

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
    assert found["minimum"] == lowest / 10
    assert found["auto"] == pytest.approx(lowest / 10, rel=0.5)  # the lowest place of heavier averages lies higher
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


@pytest.mark.parametrize(("steps", "divisor"), [(1, 2), (4, 2), (9, 3), (100, 10), (None, 10), (400, 20), (1e6, 20)])
def test_the_share_falls_with_the_root_of_the_steps_to_come_between_a_half_and_a_twentieth(
    steps: float | None, divisor: float
) -> None:
    anchor = 2 * suggest(GRID, GOOD, planned_steps=1).lr  # type: ignore[operator]
    found = suggest(GRID, GOOD, planned_steps=steps)
    assert found.lr == pytest.approx(anchor / divisor)
    assert f"of {anchor:.2g}, where the loss is lowest" in found.reason


def test_auto_stands_on_several_averages_whatever_smoothing_is_asked_for() -> None:
    dice = random.Random(1)
    noisy = [loss + 0.05 * dice.gauss(0, 1) for loss in GOOD]
    assert suggest(GRID, noisy, smoothing=0.5).lr == suggest(GRID, noisy, smoothing=0.9).lr
    places = [suggest(GRID, noisy, "minimum", smoothing).lr for smoothing in (0.5, 0.8, 0.9, 0.95)]
    assert suggest(GRID, noisy).lr == pytest.approx(math.prod(places) ** 0.25)  # type: ignore[type-var]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`min_lr` must be below `max_lr`, got 1 and 0\.1"):
        lr_grid(1.0, 0.1, 5)
    with pytest.raises(ValueError, match="same length"):
        suggest([0.1], [1.0, 2.0])
    with pytest.raises(ValueError, match="`method`"):
        suggest(GRID, GOOD, "best")  # type: ignore[arg-type]
