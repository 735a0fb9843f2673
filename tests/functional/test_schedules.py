"""Schedules: formulas at corners and between them, and the laws of join and product."""

import math
import pickle
import time
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.schedule_cycles import find_cycle
from lightning_tricks.functional.schedules import (
    Schedule,
    cosine_decay,
    cosine_warm_restarts,
    join,
    linear_warmup,
    product,
)

lengths = st.floats(1e-3, 1e6)
shares = st.floats(0, 1)
times = st.floats(0, 1e9)


@given(lengths, shares, shares)
def test_cosine_decay_equals_its_formula(length: float, end: float, share: float) -> None:
    t = share * length
    expected = end + 0.5 * (1 - end) * (1 + math.cos(math.pi * t / length))
    assert cosine_decay(length, end)(t) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@given(lengths, shares, times)
def test_cosine_decay_is_exact_at_both_ends_and_never_leaves_its_bounds(length: float, end: float, t: float) -> None:
    schedule = cosine_decay(length, end)
    assert schedule(0) == 1.0
    assert schedule(length) == schedule(length + t) == end
    assert end <= schedule(t) <= 1


@given(lengths, st.lists(times, min_size=2))
def test_cosine_decay_never_rises(length: float, ts: list[float]) -> None:
    values = cosine_decay(length).values(sorted(ts))
    assert values == sorted(values, reverse=True)


def test_cosine_decay_agrees_with_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    ours = cosine_decay(50, 0.1)
    for step in range(51):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours(step), rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("t_0", range(1, 11))
@pytest.mark.parametrize("t_mult", range(1, 11))
def test_warm_restarts_give_exactly_the_peak_at_every_integer_restart_up_to_a_billion(t_0: int, t_mult: int) -> None:
    schedule = cosine_warm_restarts(t_0, t_mult, peak_decay=0.5)
    start, length, cycle = 0, t_0, 0
    while start < 1e9 and cycle < 200:
        assert schedule(start) == 0.5**cycle
        assert schedule(float(start)) == 0.5**cycle
        if length > 1:
            assert schedule(start + length - 1) < 0.5**cycle
        start, length, cycle = start + length, length * t_mult, cycle + 1


@given(st.floats(1e-3, 1e3), st.sampled_from([0.3, 0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 1.5, 2.7]), st.integers(0, 12))
def test_warm_restarts_give_exactly_the_peak_at_restarts_reached_by_adding_floats(
    t_0: float, t_mult: float, cycle: int
) -> None:
    restart = math.fsum(t_0 * t_mult**i for i in range(cycle))
    assert cosine_warm_restarts(t_0, t_mult, 0.1, 0.9)(restart) == max(0.9**cycle, 0.1)


@given(st.floats(0.1, 100), st.sampled_from([0.5, 0.8, 1.0, 1.25, 2.0, 3.0]), st.integers(0, 8), shares)
def test_warm_restarts_follow_sgdr_inside_a_cycle(t_0: float, t_mult: float, cycle: int, share: float) -> None:
    share = min(share, 0.999)
    start, length = math.fsum(t_0 * t_mult**i for i in range(cycle)), t_0 * t_mult**cycle
    expected = 0.05 + 0.5 * (0.9**cycle - 0.05) * (1 + math.cos(math.pi * share))
    assert cosine_warm_restarts(t_0, t_mult, 0.05, 0.9)(start + share * length) == pytest.approx(expected, rel=1e-7)


def test_warm_restarts_agree_with_torch_away_from_its_wrong_restart_points() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=7, T_mult=2, eta_min=0.2)
    ours = cosine_warm_restarts(7, 2, 0.2)
    for step in range(200):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours(step), rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_warm_restarts_that_shrink_end_at_the_limit_of_their_series() -> None:
    schedule = cosine_warm_restarts(t_0=2, t_mult=0.5, end_factor=0.1)
    assert schedule(3.0) == 1.0  # 2 + 1: the third cycle
    assert schedule(4.0) == schedule(5.0) == schedule(1e9) == 0.1


@given(lengths, st.floats(0.2, 4), shares, st.floats(0.1, 1), times)
def test_warm_restarts_stay_between_their_floor_and_one(
    t_0: float, t_mult: float, end: float, decay: float, t: float
) -> None:
    assert end <= cosine_warm_restarts(t_0, t_mult, end, decay)(t) <= 1


@given(st.floats(1e-2, 1e4), st.floats(0.5, 3), st.floats(0, 1e6))
def test_a_cycle_holds_the_time_that_it_was_found_for(t_0: float, t_mult: float, t: float) -> None:
    found = find_cycle(t, t_0, t_mult)
    if found is None:
        assert t_mult < 1
        assert t >= t_0 / (1 - t_mult) * (1 - 1e-9)
    else:
        index, since = found
        assert 0 <= since <= t_0 * t_mult**index * (1 + 1e-6) + t * 1e-9


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ({"peak_decay": Fraction(1, 3)}, {"peak_decay": 1 / 3}),
        ({"t_mult": Fraction(10**6 + 1, 10**6)}, {"t_mult": 1.000001}),
    ],
)
def test_fractions_cost_no_more_than_floats_after_many_cycles(
    arguments: dict[str, Fraction], same: dict[str, float]
) -> None:
    before = time.process_time()
    late = cosine_warm_restarts(1, **arguments)(1e9 + 0.5)
    assert time.process_time() - before < 0.1
    assert late == cosine_warm_restarts(1, **same)(1e9 + 0.5)


@given(lengths, shares, times)
def test_linear_warmup_rises_in_a_straight_line_to_exactly_one(length: float, start: float, t: float) -> None:
    schedule = linear_warmup(length, start)
    assert schedule(0) == start
    assert schedule(length) == schedule(length + t) == 1.0
    assert schedule(min(t, length)) == pytest.approx(start + (1 - start) * min(t / length, 1), rel=1e-12)


def test_a_warmup_of_no_length_is_none_at_all() -> None:
    assert linear_warmup(0, 0.3).values([0, 1]) == [1.0, 1.0]


def test_join_changes_over_at_its_boundaries_where_each_clock_starts_anew() -> None:
    joined = join([linear_warmup(2), cosine_decay(4), linear_warmup(1)], [2, 6])
    assert joined.values([1, 2, 4, 6, 6.5, 7]) == [0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    assert joined(math.nextafter(2, 0)) == pytest.approx(1.0)


@given(times, st.floats(1, 1e6), st.floats(1, 1e6))
def test_join_is_associative(t: float, first: float, second: float) -> None:
    a, b, c = cosine_decay(first), linear_warmup(second), cosine_decay(second, 0.5)
    flat = join([a, b, c], [first, first + second])
    nested = join([a, join([b, c], [second])], [first])
    if abs(t - first - second) > 1e-6 * (first + second):  # adding the boundaries rounds where they meet
        assert flat(t) == pytest.approx(nested(t), rel=1e-6, abs=1e-9)


@given(times)
def test_product_multiplies_commutes_and_has_a_neutral_element(t: float) -> None:
    a, b = cosine_decay(1e8, 0.2), linear_warmup(1e6)
    assert product(a, b)(t) == product(b, a)(t) == a(t) * b(t)
    assert product(a)(t) == a(t)
    assert product()(t) == 1


def test_schedules_are_values_equal_hashable_printable_and_picklable() -> None:
    schedule = product(join([linear_warmup(2), cosine_warm_restarts(3, 2)], [2]), cosine_decay(9))
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert len({schedule, pickle.loads(pickle.dumps(schedule))}) == 1
    assert repr(cosine_decay(9)) == "cosine_decay(9, 0.0)"
    assert isinstance(schedule, Schedule)


@pytest.mark.parametrize("t", [-1e-9, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(t: float) -> None:
    with pytest.raises(ValueError, match=r"`t` must be a finite time >= 0, got"):
        cosine_decay(1)(t)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cosine_decay(0), r"`decay_steps` must be finite and > 0, got 0"),
        (lambda: cosine_decay(math.nan), r"`decay_steps` must be finite and > 0, got nan"),
        (lambda: cosine_decay(1, end_factor=1.5), r"`end_factor` must lie in \[0, 1\], got 1.5"),
        (lambda: cosine_warm_restarts(-1), r"`t_0` must be finite and > 0, got -1"),
        (lambda: cosine_warm_restarts(1, t_mult=0), r"`t_mult` must be finite and > 0, got 0"),
        (lambda: cosine_warm_restarts(1, peak_decay=0), r"`peak_decay` must lie in \(0, 1\], got 0"),
        (lambda: linear_warmup(-1), r"`length` must be finite and >= 0, got -1"),
        (lambda: linear_warmup(1, 2), r"`start_factor` must lie in \[0, 1\], got 2"),
        (lambda: join([cosine_decay(1)], [1]), r"`boundaries` must have one entry fewer than `schedules`, got 1 for 1"),
        (lambda: join([cosine_decay(1)] * 3, [2, 1]), r"`boundaries` must increase, got \[2, 1\]"),
        (lambda: join([cosine_decay(1)] * 2, [0]), r"`boundaries` must be finite and > 0, got 0"),
    ],
)
def test_an_argument_out_of_range_is_refused_with_its_value(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_an_argument_of_the_wrong_type_is_refused_with_its_value() -> None:
    with pytest.raises(TypeError, match=r"`decay_steps` must be a number, got '10' \(str\)"):
        cosine_decay("10")  # type: ignore[arg-type]
