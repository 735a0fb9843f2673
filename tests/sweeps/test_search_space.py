"""Search spaces: scales, seeds, and that a search is extended without moving what it had."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.sweeps.search_space import Choice, Interval, draw_trials

SPACE = {
    "lr": Interval(1e-5, 1.0, "log"),
    "momentum": Interval(0.5, 0.999, "log1m"),
    "width": Interval(16, 256, whole=True),
    "net": Choice(("cnn", "mlp", "lstm")),
}
shares = st.floats(0, 1, exclude_max=True)


@given(shares, st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_log_scale_follows_its_formula_over_the_whole_range_of_floats(u: float, a: float, b: float) -> None:
    if a == b:
        return
    low, high = min(a, b), max(a, b)
    value = Interval(low, high, "log").value(u)
    assert low <= value <= high
    assert math.log(value) == pytest.approx(math.log(low) + u * (math.log(high) - math.log(low)), rel=1e-12, abs=1e-12)


@given(shares, st.floats(0.01, 0.9))
def test_log1m_is_a_log_scale_of_the_distance_from_one(u: float, low: float) -> None:
    value = Interval(low, 0.999, "log1m").value(u)
    assert 1 - value == pytest.approx(Interval(0.001, 1 - low, "log").value(1 - u), rel=1e-9)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_whole_numbers_reach_both_ends(scale: str) -> None:
    interval = Interval(2, 5, scale, whole=True)
    counts = Counter(interval.value(i / 10_000) for i in range(10_000))
    assert sorted(counts) == [2, 3, 4, 5]
    assert all(isinstance(value, int) for value in counts)
    if scale == "linear":
        assert max(counts.values()) - min(counts.values()) <= 1
    else:
        assert all(counts[small] > counts[large] for small, large in pairwise([2, 3, 4, 5]))


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_a_trial_does_not_depend_on_how_many_there_are_nor_on_the_order_of_the_parameters(method: str) -> None:
    many = draw_trials(SPACE, 16, seed=3, method=method)
    assert draw_trials(SPACE, 5, seed=3, method=method) == many[:5]
    assert draw_trials(dict(reversed(SPACE.items())), 16, seed=3, method=method) == many
    assert draw_trials(SPACE, 16, seed=4, method=method) != many


def test_a_further_parameter_leaves_random_values_as_they_were() -> None:
    alone = draw_trials({"lr": SPACE["lr"]}, 5)
    assert [trial["lr"] for trial in draw_trials(SPACE, 5)] == [trial["lr"] for trial in alone]


def test_random_values_are_even_and_independent_of_one_another() -> None:
    points = [(t["a"], t["b"]) for t in draw_trials({"a": Interval(0, 1), "b": Interval(0, 1)}, 2_000)]
    quarters = Counter((int(2 * a), int(2 * b)) for a, b in points)
    assert all(abs(count - 500) < 90 for count in quarters.values())  # four standard deviations


def test_sobol_points_fill_each_axis_evenly() -> None:
    trials = draw_trials({name: Interval(0, 1) for name in "abc"}, 16, seed=1, method="sobol")
    for name in "abc":
        assert sorted(int(16 * trial[name]) for trial in trials) == list(range(16))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interval(1, 0.1), r"interval\(1, 0.1\) is empty: `low` must be less than `high`"),
        (lambda: Interval(1, 1), "is empty: `low` must be less than `high`"),
        (lambda: Interval(0, math.inf), "finite bounds"),
        (lambda: Interval(0, 1, "log"), "must be > 0, got 0"),
        (lambda: Interval(0.9, 1, "log1m"), "must be < 1, got 1"),
        (lambda: Choice(()), "at least one option"),
        (lambda: draw_trials({}, 5), "nothing to draw"),
        (lambda: draw_trials(SPACE, 0), "`n_trials` must be at least 1, got 0"),
        (lambda: draw_trials(SPACE, 5, method="halton"), "'halton'"),
        (lambda: draw_trials(SPACE, 5, method="grid"), "`lr` is an interval"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
