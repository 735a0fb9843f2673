"""Trials around a suggestion: which rates, which was best, and how far it is believed."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.lr_trials import (
    best_trial,
    damp_move,
    fall_exponent,
    gain_of_speed,
    is_clearly_lower,
    is_hardly_higher,
    is_on_plateau,
    is_paid_for,
    late_loss,
    trial_rates,
)

LENGTHS = st.integers(1, 100_000)


@given(lr=st.floats(1e-7, 10.0), steps=st.integers(1, 100), planned=st.none() | LENGTHS)
def test_the_rates_lie_around_what_so_short_a_training_would_be_given_within_the_budget(
    lr: float, steps: int, planned: int | None
) -> None:
    rates = trial_rates(lr, steps, budget=300, planned_steps=planned)
    assert len(rates) in (3, 5, 7)
    assert len(rates) * steps <= 300
    assert rates == sorted(rates)
    middle = rates[len(rates) // 2]
    assert rates[0] * rates[-1] == pytest.approx(middle**2)
    assert middle >= lr or planned is None or planned < steps
    if planned == steps:
        assert middle == lr


def test_few_rates_lie_further_apart() -> None:
    three, five = trial_rates(0.1, 100, budget=300), trial_rates(0.1, 50, budget=300)
    assert [b / a for a, b in pairwise(three)] == pytest.approx([10**0.5] * 2)
    assert [b / a for a, b in pairwise(five)] == pytest.approx([10**0.25] * 4)


def test_a_trial_that_diverges_is_lost_and_costs_its_neighbours() -> None:
    assert best_trial([(0.01, 3.0), (0.03, 2.9), (0.1, 2.8), (0.3, math.nan)]) == 0.03
    assert best_trial([(0.01, 3.0), (0.1, math.inf)]) == 0.01
    assert best_trial([(0.1, math.inf), (0.01, math.nan)]) is None


def test_one_lucky_trial_between_bad_ones_does_not_win() -> None:
    assert best_trial([(0.01, 1.0), (0.03, 1.0), (0.1, 5.0), (0.3, 0.9), (1.0, 5.0)]) == 0.01


def test_the_highest_of_many_rates_is_not_taken_for_nobody_knows_what_lies_above() -> None:
    falling = [(0.01, 5.0), (0.02, 4.0), (0.03, 3.0), (0.06, 2.0), (0.1, 1.0)]
    assert best_trial(falling) == 0.06
    assert best_trial(falling[2:]) == 0.1


def test_losses_below_zero_are_losses_as_well() -> None:
    assert best_trial([(0.01, -1.0), (0.03, -2.0), (0.1, -1.5)]) == 0.03


TRIALS = st.lists(st.tuples(st.floats(0.01, 10.0), st.floats(0.01, 10.0)), min_size=3, max_size=12)


@given(trials=TRIALS)
def test_a_trial_is_never_clearly_lower_and_clearly_higher_and_hardly_higher_excludes_more_than_a_fifth(
    trials: list[tuple[float, float]],
) -> None:
    losses, others = map(list, zip(*trials, strict=True))
    assert not (is_clearly_lower(losses, others) and is_clearly_lower(others, losses))
    if is_hardly_higher(losses, others):
        assert not is_clearly_lower(others, losses) or late_loss(losses) == pytest.approx(late_loss(others))
        assert late_loss(losses) <= 1.2 * late_loss(others) * (1 + 1e-9)
    if is_clearly_lower(losses, others):
        assert is_hardly_higher(losses, others)
    assert not is_hardly_higher(others, others)


def test_a_loss_that_is_higher_by_more_than_the_noise_is_not_hardly_higher() -> None:
    others = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9]
    assert is_hardly_higher([loss + sign * 0.1 + 0.05 for loss, sign in zip(others, (1, -1) * 3, strict=True)], others)
    assert not is_hardly_higher([loss + 0.05 for loss in others], others)


@pytest.mark.parametrize("broken", [[1.0, math.nan, 1.0], [1.0, 1.0], [], [1.0, 1.0, math.inf]])
def test_a_trial_that_broke_off_is_neither_lower_nor_hardly_higher(broken: list[float]) -> None:
    assert not is_clearly_lower(broken, [2.0, 2.0, 2.0])
    assert not is_hardly_higher(broken, [2.0, 2.0, 2.0])


@given(level=st.floats(1e-3, 1e3), count=st.integers(4, 200), fall=st.floats(0.0, 0.2))
def test_a_plateau_is_a_fall_by_less_than_a_tenth_between_the_last_quarters(
    level: float, count: int, fall: float
) -> None:
    quarter = count // 4
    losses = [9 * level] * (count // 2) + [level] * (count - count // 2 - quarter) + [level * (1 - fall)] * quarter
    if abs(fall - 0.1) > 1e-6:
        assert is_on_plateau(losses) is (fall < 0.1)


@pytest.mark.parametrize("losses", [[], [1.0] * 3, [-1.0] * 8, [0.0] * 8, [1.0, 1.0, 1.0, math.nan], [math.inf] * 9])
def test_without_four_losses_or_with_a_loss_that_is_not_positive_there_is_no_plateau(losses: list[float]) -> None:
    assert not is_on_plateau(losses)


@given(lr=st.floats(1e-7, 10.0), moved=st.floats(0.1, 10.0), steps=LENGTHS, planned=st.none() | LENGTHS)
def test_a_suggestion_moves_towards_the_best_trial_never_beyond(
    lr: float, moved: float, steps: int, planned: int | None
) -> None:
    low, high = sorted((lr, lr * moved))
    assert low * 0.999 <= damp_move(lr, moved, steps, planned) <= high * 1.001
    assert damp_move(lr, 1.0, steps, planned) == lr
    if planned is not None and planned <= steps:
        assert damp_move(lr, moved, steps, planned) == lr * moved


@given(exponent=st.floats(0.01, 3), count=st.integers(4, 60), scale=st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_law_is_found(exponent: float, count: int, scale: float) -> None:
    times = [scale * (10 + place) for place in range(count)]
    found = fall_exponent(times, [7 * time**-exponent for time in times])
    assert found == pytest.approx(exponent, rel=0.05)


@given(exponent=st.floats(0.1, 2), place=st.integers(0, 19))
def test_a_value_that_is_not_finite_is_left_out_of_the_history(exponent: float, place: int) -> None:
    times = [float(10 + place) for place in range(20)]
    values = [time**-exponent for time in times]
    values[place] = math.nan
    assert fall_exponent(times, values) == pytest.approx(exponent, rel=0.1)


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ([1, 2, 3], [3, 2, 1]),  # too few
        ([1, 2, 3, 4], [1, 1, 1, 1]),
        ([1, 2, 3, 4], [3, 2, 1, 2]),  # rises
        ([1, 2, 3, 4], [1, 0, -1, -2]),  # not positive
        ([0, 0, 0, 0], [4, 3, 2, 1]),  # no time has passed
        ([], []),
    ],
)
def test_what_does_not_fall_or_is_not_known_has_no_exponent(times: list[float], values: list[float]) -> None:
    assert fall_exponent(times, values) == 0.0


@given(exponent=st.floats(0.01, 3), ahead=st.floats(0.01, 100), factor=st.floats(1.1, 8))
def test_speed_gains_what_the_power_law_says(exponent: float, ahead: float, factor: float) -> None:
    def end(rate: float) -> float:
        """The loss at the end, if it is 1 at time 1."""
        return float((1 + rate * ahead) ** -exponent)

    assert gain_of_speed(exponent, ahead, factor) == pytest.approx(end(1) - end(factor), abs=1e-12)
    assert gain_of_speed(exponent, ahead, 2 * factor, factor) == pytest.approx(end(factor) - end(2 * factor), abs=1e-12)
    assert 0 <= gain_of_speed(exponent, ahead, factor) <= 1


def test_a_rise_is_paid_for_by_a_gain_above_it_and_losses_that_broke_off_by_none() -> None:
    others = [1.0, 1.0, 1.0, 1.0]
    assert is_paid_for([1.0, 1.0, 1.1, 1.2], others, 0.16)
    assert not is_paid_for([1.0, 1.0, 1.1, 1.2], others, 0.14)
    assert is_paid_for([1.0, 1.0, 0.9, 0.8], others, 0.1)
    assert not is_paid_for([1.0, 1.0, 0.9, 0.8], others, 0.0)
    assert not is_paid_for(others, others, 0.5)
    assert not is_paid_for([1.0, 1.0], others, math.inf)
    assert not is_paid_for([1.0, 1.0, 1.0, math.nan], others, math.inf)
