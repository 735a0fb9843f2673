"""A series is bounded in length, and its extremes stay."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tricks.reports.series import MAX_POINTS, Series, extend, finite, thin

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=300)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(4, 60))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float], count: int) -> None:
    series = extend(Series(), enumerate(values))
    kept = thin(series, count)
    assert len(kept.steps) <= max(count, 5)
    assert list(kept.steps) == sorted(set(kept.steps))
    assert kept.steps[0] == 0
    assert kept.steps[-1] == len(values) - 1
    if series.points:
        heights = [value for _, value in series.points]
        assert {min(heights), max(heights)} <= {value for _, value in kept.points}
    assert (None in kept.values) == (None in series.values)


def test_100_000_points_stay_bounded_and_a_single_spike_stays() -> None:
    series = Series()
    for start in range(0, 100_000, 50):
        series = extend(
            series, [(step, 1e9 if step == 41_234 else 1 / (step + 1)) for step in range(start, start + 50)]
        )
    assert len(series.steps) <= 2 * MAX_POINTS
    assert max(series.points, key=lambda point: point[1]) == (41_234, 1e9)
    assert series.steps[0] == 0
    assert series.steps[-1] == 99_999


def test_what_is_not_finite_is_none() -> None:
    assert [finite(value) for value in (1.5, math.nan, math.inf, None)] == [1.5, None, None, None]


def test_of_several_values_of_one_step_the_last_counts() -> None:
    series = extend(extend(Series(), [(1, 0.5), (3, 0.4)]), [(3, 0.3), (3, 0.2), (4, 0.1)])
    assert series == Series((1, 3, 4), (0.5, 0.2, 0.1))
