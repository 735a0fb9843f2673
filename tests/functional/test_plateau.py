"""The rule of no improvement in n, against the rule written out, Keras' and torch's."""

import math
from dataclasses import FrozenInstanceError, asdict
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tricks.functional.plateau import (
    PlateauState,
    at_floor,
    count_lucky_bests,
    is_better,
    observe,
    score_noise,
    worst,
)

GRID = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.0, math.nan, math.inf, -math.inf])
SCORES = st.lists(GRID | st.floats(-10, 10), max_size=200)


def run(scores: list[float], **arguments: object) -> list[PlateauState]:
    states = [PlateauState()]
    for score in scores:
        states.append(observe(states[-1], score, **arguments))  # type: ignore[arg-type]
    return states[1:]


def written_out(
    scores: list[float], mode: str, delta: float, n: int, factor: float, floor: float, cooldown: int
) -> list[tuple[float | None, int, float, int]]:
    """Nielsen's rule as one would tell it, with a cooldown; a list of (best, bad in a row, factor, cuts)."""
    best, bad, rate, cuts, exempt = None, 0, 1.0, 0, 0
    told = []
    for score in scores:
        gain = 0.0
        if best is None:
            better = score < math.inf if mode == "min" else score > -math.inf
        else:
            gain = best - delta if mode == "min" else best + delta
            better = score < gain if mode == "min" else score > gain
        if better:
            best, bad = score, 0
        elif exempt == 0:
            bad += 1
        exempt = max(exempt - 1, 0)
        if bad == n and rate > floor:
            rate, bad, cuts, exempt = max(rate * factor, floor), 0, cuts + 1, cooldown
            if math.isclose(rate, floor, rel_tol=1e-9):
                rate = floor
        told.append((best, bad, rate, cuts))
    return told


@settings(max_examples=2000, deadline=None)
@given(
    scores=SCORES,
    mode=st.sampled_from(["min", "max"]),
    delta=st.sampled_from([0.0, 0.25, 0.3]),
    n=st.integers(1, 4),
    factor=st.sampled_from([0.5, 0.1, 0.9]),
    floor=st.sampled_from([1 / 1024, 0.001, 0.3]),
    cooldown=st.integers(0, 3),
)
def test_observe_equals_the_rule_written_out(
    scores: list[float], mode: str, delta: float, n: int, factor: float, floor: float, cooldown: int
) -> None:
    settings_ = {"mode": mode, "min_delta": delta, "patience": n, "factor": factor, "min_factor": floor}
    states = run(scores, cooldown=cooldown, **settings_)
    told = written_out(scores, mode, delta, n, factor, floor, cooldown)
    assert [(s.best_score, s.wait_count, s.lr_factor, s.num_reductions) for s in states] == told


@settings(max_examples=300, deadline=None)
@given(scores=SCORES, n=st.integers(1, 4), cooldown=st.integers(0, 3))
def test_observe_equals_torch_with_one_check_less_of_patience(scores: list[float], n: int, cooldown: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=n - 1, threshold=0.0, threshold_mode="abs", cooldown=cooldown, eps=0.0
    )
    for score, state in zip(scores, run(scores, patience=n, cooldown=cooldown, min_factor=1e-300), strict=True):
        theirs.step(score)
        assert optimizer.param_groups[0]["lr"] == state.lr_factor


@settings(max_examples=300, deadline=None)
@given(scores=st.lists(st.floats(-10, 10), min_size=1, max_size=100), n=st.integers(1, 4))
def test_observe_equals_keras_without_a_cooldown(scores: list[float], n: int) -> None:
    best, wait, rate = math.inf, 0, 1.0
    for score, state in zip(scores, run(scores, patience=n, min_delta=1e-4), strict=True):
        if score < best - 1e-4:  # keras/src/callbacks/reduce_lr_on_plateau.py, on_epoch_end
            best, wait = score, 0
        else:
            wait += 1
            if wait >= n and rate > 1 / 1024:
                rate, wait = max(rate * 0.5, 1 / 1024), 0
        assert (best, rate) == (state.best_score, state.lr_factor)


@given(SCORES)
def test_observe_without_patience_never_cuts_and_counts_on(scores: list[float]) -> None:
    for index, state in enumerate(run(scores)):
        assert (state.lr_factor, state.num_reductions) == (1.0, 0)
        last_best = max((i for i in range(index + 1) if is_better(scores[i], best_before(scores, i))), default=-1)
        assert state.wait_count == index - last_best


def best_before(scores: list[float], index: int) -> float | None:
    return run(scores[:index])[-1].best_score if index else None


def test_ten_halvings_of_one_reach_the_floor_exactly() -> None:
    states = run([1.0] * 150, patience=10)
    cuts = [i for i in range(1, 150) if states[i].num_reductions > states[i - 1].num_reductions]
    assert cuts == list(range(10, 101, 10))
    assert states[-1].lr_factor == 1 / 1024
    assert at_floor(states[100], 1 / 1024)
    assert not at_floor(states[99], 1 / 1024)


def test_three_tenths_in_a_row_are_a_thousandth_and_no_fourth_follows() -> None:
    last = run([1.0] * 50, patience=2, factor=0.1, min_factor=0.001)[-1]
    assert (last.lr_factor, last.num_reductions) == (0.001, 3)


def test_the_last_cut_is_clamped_to_the_floor() -> None:
    assert run([1.0] * 9, patience=2, factor=0.1)[-1].lr_factor == 1 / 1024


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_better_not_even_at_first(mode: str) -> None:
    states = run([math.nan, 1.0, math.nan], mode=mode)
    assert [state.best_score for state in states] == [None, 1.0, 1.0]
    assert [state.wait_count for state in states] == [1, 0, 1]


def test_a_new_best_in_a_cooldown_is_taken_and_the_cooldown_runs_on() -> None:
    states = run([1.0, 1.0, 0.5, 1.0, 1.0], patience=1, cooldown=2)
    assert [state.best_score for state in states] == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert [state.num_reductions for state in states] == [0, 1, 1, 1, 2]


def test_exactly_min_delta_is_not_more_than_min_delta_for_float32_either() -> None:
    tenths = [torch.tensor(k / 10).item() for k in range(11)]
    for better, best in pairwise(tenths):
        assert not is_better(better, best, min_delta=0.1, precision=torch.float32)
        assert is_better(better, best, min_delta=0.09, precision=torch.float32)
        assert not is_better(best, better, mode="max", min_delta=0.1, precision=torch.float32)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_every_number_is_better_than_the_worst(mode: str) -> None:
    assert is_better(0.0, worst(mode), mode=mode)  # type: ignore[arg-type]
    assert not is_better(worst(mode), None, mode=mode)  # type: ignore[arg-type]


def test_the_state_is_frozen_and_plain() -> None:
    with pytest.raises(FrozenInstanceError):
        PlateauState().wait_count = 1  # type: ignore[misc]
    assert PlateauState(**asdict(PlateauState(0.5, 3))) == PlateauState(0.5, 3)


@pytest.mark.parametrize(("sigma", "slope"), [(0.01, 0.0), (1.0, -0.2), (10.0, 1.0)])
def test_the_noise_of_scores_is_found_under_a_trend_and_a_jump(sigma: float, slope: float) -> None:
    noise = sigma * torch.randn(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = [slope * i + 100 * (i > 150) + value for i, value in enumerate(noise.tolist())]
    found = score_noise(scores)
    assert found is not None
    assert 0.7 * sigma < found < 1.4 * sigma
    assert score_noise(scores[:7]) is None


def test_bests_within_the_noise_are_counted_in_both_modes() -> None:
    scores = [1.0, 0.99, 0.5, 0.6, 0.49, math.nan, 0.48]
    assert count_lucky_bests(scores, 0.05) == (3, 4)
    assert count_lucky_bests([-score for score in scores], 0.05, "max") == (3, 4)
    assert count_lucky_bests([], 0.05) == (0, 0)
