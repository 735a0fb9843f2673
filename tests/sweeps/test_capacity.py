"""The rule by which a network grows: doubles while the gain exceeds the spread over seeds, units first, then layers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.sweeps.capacity import Growth, Size, doubled


def grown(growth: Growth, mean: dict[Size, float], spread: float = 0.01) -> tuple[list[Size], Size | None, str]:
    """Let a network grow whose scores are known; return what was tried, the choice and the reason."""
    scores: dict[Size, list[float]] = {}
    while (step := growth.next(scores)).size is not None:
        value = mean[step.size]
        scores[step.size] = [value - spread, value, value + spread]
    return list(scores), step.best, step.reason


def test_units_are_doubled_until_the_gain_is_within_the_spread_then_layers() -> None:
    mean = {Size(8, 1): 0.9, Size(16, 1): 0.5, Size(32, 1): 0.3, Size(64, 1): 0.295, Size(32, 2): 0.2, Size(32, 4): 0.4}
    tried, best, reason = grown(Growth(8, 512, 1, 8), mean)
    assert tried == list(mean)
    assert best == Size(32, 2)
    assert "from 32 units in 1 layer to 64 units in 1 layer the score improves by 0.005, its spread is 0.01" in reason
    assert "from 32 units in 2 layers to 32 units in 4 layers the score gets worse by 0.2" in reason


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.floats(0, 0.3))
def test_the_choice_never_stands_after_a_gain_within_the_spread(means: list[float], spread: float) -> None:
    sizes = [Size(2**place) for place in range(6)]
    tried, best, _ = grown(Growth(1, 32), dict(zip(sizes, means, strict=True)), spread)
    score = dict(zip(sizes, means, strict=True))
    assert best is not None
    place = sizes.index(best)
    assert all(score[a] > score[b] for a, b in pairwise(sizes[: place + 1]))
    assert tried == sizes[: min(place + 2, 6)], "one size beyond the choice shows that growth does not pay"


def test_more_is_better_where_scores_are_maximized_and_the_largest_size_ends_the_growth() -> None:
    mean = {Size(4): 0.5, Size(8): 0.7, Size(16): 0.9}
    tried, best, reason = grown(Growth(4, 31, direction="maximize"), mean)
    assert (tried, best) == (list(mean), Size(16))
    assert reason == "16 units is the largest size, and the score still improves"


def test_a_size_without_two_scores_ends_the_growth_before_it() -> None:
    step = Growth(4, 64).next({Size(4): [0.5, 0.6], Size(8): [0.1]})
    assert step == (None, Size(4), "8 units has only 1 of the required 2 scores")
    assert Growth(4, 64).next({Size(4): []}).best is None


def test_doubles_stay_within_the_bound_and_bad_bounds_are_refused() -> None:
    assert doubled(16, 100) == [16, 32, 64]
    for arguments, name in (((0, 4), "capacity.units"), ((8, 4), "capacity.max_units"), ((8, 8, 0), "capacity.layers")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            Growth(*arguments)
