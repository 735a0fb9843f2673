"""The pure range test: grids, and what each rule says of curves that say something or nothing."""

import math
import random
import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.range_test import METHODS, lr_grid, suggest
from lightning_tricks.functional.sweep_curve import PlannedFactors, find_divergence, smooth

GRID = lr_grid(1e-7, 10.0, 100)
GOOD = [2.3 - 2 / (1 + math.exp(-(i - 60) / 5)) + 0.3 * max(0, i - 80) for i in range(100)]
SWEPT = 1 / (1 - 1e-8 ** (1 / 99))  # 5.9 steps at its last rate that a sweep over this grid comes to
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
    assert lr == pytest.approx(10 / math.sqrt(100 / SWEPT))
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
    assert lowest / 10 < found["auto"] < lowest / 4  # type: ignore[operator]
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


@pytest.mark.parametrize(("steps", "counted"), [(1, SWEPT), (9, 9), (100, 100), (None, 100), (400, 400), (1e6, 1e6)])
def test_the_share_falls_with_the_root_of_the_steps_to_come(steps: float | None, counted: float) -> None:
    anchor = suggest(GRID, GOOD, planned_steps=1).lr
    found = suggest(GRID, GOOD, planned_steps=steps)
    assert anchor is not None
    assert found.lr == pytest.approx(anchor / math.sqrt(counted / SWEPT))
    assert f"the loss is lowest near {anchor:.2g}, and " in found.reason
    assert ("unknown length (100 steps assumed)" in found.reason) == (steps is None)


def test_under_a_schedule_the_rates_have_the_same_sum_and_none_exceeds_the_lowest_point_of_the_sweep() -> None:
    lowest, constant = suggest(GRID, GOOD, planned_steps=1).lr, suggest(GRID, GOOD, planned_steps=1000).lr
    assert lowest is not None
    assert constant is not None
    decay = suggest(GRID, GOOD, planned_steps=1000, factors=PlannedFactors(0.5, 1.0))
    assert decay.lr == pytest.approx(2 * constant)
    assert "by 0.5 on average" in decay.reason
    assert suggest(GRID, GOOD, planned_steps=1000, factors=PlannedFactors(0.01, 1.0)).lr == pytest.approx(lowest)
    assert suggest(GRID, GOOD, planned_steps=1000, factors=PlannedFactors(0.05, 0.1)).lr == pytest.approx(20 * constant)
    assert suggest(GRID, GOOD, "valley", factors=PlannedFactors(0.5, 1.0)) == suggest(GRID, GOOD, "valley")


@pytest.mark.parametrize("num_steps", [100, 200, 400])
@pytest.mark.parametrize("planned_steps", [25, 100, 400])
def test_on_a_noisy_quadratic_it_is_the_best_constant_rate_however_fine_the_sweep(
    num_steps: int, planned_steps: int
) -> None:
    curvature, noise = np.logspace(-2, 0, 30), 0.3  # whose gradients are (λ x + σ √λ ε)

    def expected(lr: float) -> float:
        shrink = (1 - lr * curvature) ** 2
        power = shrink**planned_steps
        squares = power + lr**2 * noise**2 * curvature * (1 - power) / (1 - shrink)
        return float((curvature * squares).sum() / 2)

    def sweep(seed: int) -> float:
        dice, x, lrs, losses = np.random.default_rng(seed), np.ones(30), lr_grid(1e-5, 10.0, num_steps), []
        for lr in lrs:
            losses.append(float((curvature * x * x).sum() / 2))
            x = x - lr * (curvature * x + noise * np.sqrt(curvature) * dice.normal(size=30))
        end = find_divergence(smooth(losses), 4.0, skip=num_steps // 10)
        found = suggest(lrs[:end], losses[:end], planned_steps=planned_steps).lr
        assert found is not None
        return found

    typical = math.exp(statistics.fmean(math.log(sweep(seed)) for seed in range(5)))
    assert expected(typical) <= 1.05 * min(expected(10 ** (place / 20)) for place in range(-60, 5))


@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_how_far_the_last_step_breaks_off_does_not_move_it(shift: float) -> None:
    falling = [loss + shift for loss in GOOD[:81]]
    found = {last: suggest(GRID[:82], [*falling, last]).lr for last in (12.0, 1e3, 1e4, 1e30)}
    assert found[1e3] == found[1e4] == found[1e30]
    assert found[12.0] == pytest.approx(found[1e30], rel=0.5)


def test_the_smoothing_that_is_asked_for_does_not_move_it() -> None:
    dice = random.Random(1)
    noisy = [loss + 0.05 * dice.gauss(0, 1) for loss in GOOD]
    assert suggest(GRID, noisy, smoothing=0.5).lr == suggest(GRID, noisy, smoothing=0.9).lr


def test_slide_has_nothing_to_say_where_nothing_falls_before_the_lowest_place() -> None:
    losses = [-1.0, -1.0, 1.0, -1.0, -1.0, 0.0, 1e38]
    assert suggest(lr_grid(1e-7, 10.0, 20)[:7], losses, "slide", 0.5).lr is None


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`min_lr` must be below `max_lr`, got 1 and 0\.1"):
        lr_grid(1.0, 0.1, 5)
    with pytest.raises(ValueError, match="same length"):
        suggest([0.1], [1.0, 2.0])
    with pytest.raises(ValueError, match="`method`"):
        suggest(GRID, GOOD, "best")  # type: ignore[arg-type]
