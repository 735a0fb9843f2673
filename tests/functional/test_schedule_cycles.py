"""One cycle: its formula, corners and bounds, and the momentum next to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.schedule_cycles import one_cycle, one_cycle_momentum

lengths = st.floats(1e-3, 1e9)
shares = st.floats(0, 0.99)
divisors = st.floats(1, 1e4)
times = st.floats(0, 1e9)


@given(lengths, shares, divisors, divisors)
def test_one_cycle_is_exact_at_its_start_peak_and_end(total: float, pct: float, div: float, final: float) -> None:
    schedule = one_cycle(total, pct, div, final)
    assert schedule(0) == (1 / div if pct * total > 0 else 1.0)
    assert schedule(pct * total) == 1.0
    assert schedule(total) == schedule(2 * total) == 1 / (div * final)


@given(lengths, shares, divisors, divisors, times)
def test_one_cycle_stays_between_its_end_and_one(total: float, pct: float, div: float, final: float, t: float) -> None:
    assert 1 / (div * final) <= one_cycle(total, pct, div, final)(t) <= 1


@given(lengths, shares, divisors, st.lists(st.floats(0, 1), min_size=2))
def test_one_cycle_rises_to_its_peak_and_falls_after_it(total: float, pct: float, div: float, xs: list[float]) -> None:
    schedule, peak = one_cycle(total, pct, div), pct * total
    rising = schedule.values([x * peak for x in sorted(xs)])
    falling = schedule.values([peak + x * (total - peak) for x in sorted(xs)])
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


@given(st.integers(2, 10**9), st.floats(0, 1))
def test_one_cycle_follows_two_half_cosines(total: int, share: float) -> None:
    schedule, peak = one_cycle(total, 0.5, 10, 100), total / 2
    up = 1 + (0.1 - 1) * (1 + math.cos(math.pi * share)) / 2
    down = 0.001 + (1 - 0.001) * (1 + math.cos(math.pi * share)) / 2
    assert schedule(share * peak) == pytest.approx(up, rel=1e-7)
    assert schedule(peak + share * peak) == pytest.approx(down, rel=1e-4, abs=1e-9)


@given(lengths, shares, times)
def test_momentum_is_the_mirror_of_the_rate(total: float, pct: float, t: float) -> None:
    momentum = one_cycle_momentum(total, pct, base=0.8, maximum=0.9)
    assert momentum(0) == (0.9 if pct * total > 0 else 0.8)
    assert momentum(pct * total) == 0.8
    assert momentum(total) == momentum(total + t) == 0.9
    assert 0.8 <= momentum(t) <= 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), r"`total` must be finite and > 0, got 0"),
        ((1, 1.0), r"`pct_start` must lie in \[0, 1\), got 1.0"),
        ((1, -0.1), r"`pct_start` must lie in \[0, 1\), got -0.1"),
        ((1, 0.3, 0.9), r"`div_factor` must be finite and >= 1, got 0.9"),
        ((1, 0.3, 25, math.nan), r"`final_div_factor` must be finite and > 0, got nan"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one_cycle(*arguments)
