"""The decays of functional.schedules: TensorFlow's and Keras' formulas written out, torch's schedulers, corners."""

import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lightning_tricks.functional.schedule_parts import count_lengths
from lightning_tricks.functional.schedules import (
    Schedule,
    exponential_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
)

lengths = st.floats(1e-3, 1e6)
rates = st.floats(1e-3, 1)
shares = st.floats(0, 1)
times = st.floats(0, 1e9)
near = st.floats(0, 1e4)


@given(rates, lengths, near)
def test_exponential_decay_equals_its_formula(rate: float, steps: float, t: float) -> None:
    assert exponential_decay(rate, steps)(t) == pytest.approx(rate ** (t / steps), rel=1e-12)
    assume(abs(t / steps - round(t / steps)) > 1e-9)  # next to the corners, which have a test of their own
    assert exponential_decay(rate, steps, staircase=True)(t) == pytest.approx(rate ** math.floor(t / steps), rel=1e-12)


@given(st.floats(0, 1e3), lengths, near)
def test_inverse_time_decay_equals_its_formula(rate: float, steps: float, t: float) -> None:
    assert inverse_time_decay(rate, steps)(t) == pytest.approx(1 / (1 + rate * t / steps), rel=1e-12)
    assume(abs(t / steps - round(t / steps)) > 1e-9)
    expected = 1 / (1 + rate * math.floor(t / steps))
    assert inverse_time_decay(rate, steps, staircase=True)(t) == pytest.approx(expected, rel=1e-12)


@given(st.floats(1e-3, 1e3), times)
def test_inverse_sqrt_decay_equals_its_formula(k: float, t: float) -> None:
    assert inverse_sqrt_decay(k)(t) == pytest.approx(k * (t + 1) ** -0.5, rel=1e-12)


@given(lengths, shares, st.floats(0.1, 5), near)
def test_polynomial_decay_equals_tensorflows_formula(steps: float, end: float, power: float, t: float) -> None:
    step = min(t, steps)
    expected = (1 - end) * (1 - step / steps) ** power + end
    assert polynomial_decay(steps, end, power)(t) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    multiplier = 1.0 if t == 0 else math.ceil(t / steps)
    assume(abs(t / steps - round(t / steps)) > 1e-9 or t == 0)
    stretched = steps * multiplier
    expected = (1 - end) * (1 - t / stretched) ** power + end
    assert polynomial_decay(steps, end, power, cycle=True)(t) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("number", [int, float])
@pytest.mark.parametrize("steps", [1, 3, 7, 0.1, 0.3, 0.7, 1.1, 2.5, 1e6])
def test_corners_are_exact_for_products_and_for_decimals_up_to_a_billion(steps: Any, number: type) -> None:
    stairs = exponential_decay(0.5, steps, staircase=True)
    smooth = exponential_decay(0.5, steps)
    hyperbola = inverse_time_decay(1, steps, staircase=True)
    saw = polynomial_decay(steps, 0.25, cycle=True)
    for k in (1, 2, 3, 6, 7, 10, 11, 13, 100, 999, 10**6 + 3, 10**9):
        corners = {k * steps, float(k * Fraction(str(steps)))}
        for t in {number(t) for t in corners if number is float or t == int(t)}:
            if t <= 1e9:
                assert stairs(t) == smooth(t) == 0.5**k
                assert hyperbola(t) == 1 / (1 + k)
                assert saw(t) == 0.25
                below = math.nextafter(min(corners), 0)
                assert stairs(below) == 0.5 ** (k - 1)
                assert hyperbola(below) == 1 / k


@given(st.integers(1, 10**6), st.integers(0, 10**9))
def test_integers_are_counted_without_floats(length: int, t: int) -> None:
    assert count_lengths(t, length) == (t // length, t % length == 0)


@given(lengths, near)
def test_whole_lengths_fit_into_their_time(length: float, t: float) -> None:
    whole, at_end = count_lengths(t, length)
    assert whole * length <= t * (1 + 1e-15)
    assert t < (whole + 1) * length * (1 + 1e-15)
    assert not at_end or whole * length == pytest.approx(t, rel=1e-15)


def test_polynomial_decay_with_cycle_ends_exactly_and_rises_to_lower_peaks() -> None:
    saw = polynomial_decay(10, cycle=True)
    assert saw.values([0, 10, 20, 30]) == [1.0, 0.0, 0.0, 0.0]
    peaks = saw.values([math.nextafter(10 * k, math.inf) for k in (1, 2, 3)])
    assert peaks == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert saw(10**9) == 0.0
    assert saw(10**9 + 1) == pytest.approx(9 / (10**9 + 10), rel=1e-12)


@given(lengths, shares, st.floats(0.1, 5))
def test_polynomial_decay_is_exact_at_both_ends(steps: float, end: float, power: float) -> None:
    schedule = polynomial_decay(steps, end, power)
    assert schedule(0) == 1.0
    assert schedule(steps) == schedule(steps * 2) == schedule(1e9) == end


BOUNDARIES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=6, unique=True).map(sorted)


@given(BOUNDARIES, times, st.data())
def test_piecewise_constant_changes_exactly_at_its_boundaries(boundaries: list[float], t: float, data: Any) -> None:
    factors = [1 / (i + 1) for i in range(len(boundaries) + 1)]
    schedule = piecewise_constant(boundaries, factors)
    assert schedule(t) == factors[sum(boundary <= t for boundary in boundaries)]
    place = data.draw(st.integers(0, len(boundaries) - 1))
    assert schedule(boundaries[place]) == factors[place + 1]
    assert schedule(math.nextafter(boundaries[place], 0)) == factors[place]


FAMILY: dict[str, Callable[..., Schedule]] = {
    "exponential": exponential_decay,
    "inverse time": inverse_time_decay,
    "staircase": lambda rate, steps: exponential_decay(rate, steps, staircase=True),
    "inverse sqrt": lambda rate, steps: inverse_sqrt_decay(rate),
    "polynomial": lambda rate, steps: polynomial_decay(steps, rate, 1 + rate),
}


@pytest.mark.parametrize("name", FAMILY)
@given(rates, lengths, st.lists(times, min_size=2))
def test_a_decay_never_rises_and_stays_between_zero_and_one(
    name: str, rate: float, steps: float, ts: list[float]
) -> None:
    values = FAMILY[name](rate, steps).values(sorted(ts))
    assert values == pytest.approx(sorted(values, reverse=True), rel=1e-14, abs=0)
    assert all(0 <= value <= 1 for value in values)


def torch_rates(make: Callable[[Any], Any], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


lr_scheduler = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lambda o: lr_scheduler.ExponentialLR(o, 0.95), exponential_decay(0.95)),
        (lambda o: lr_scheduler.StepLR(o, 7, 0.5), exponential_decay(0.5, 7, staircase=True)),
        (lambda o: lr_scheduler.MultiStepLR(o, [5, 20], 0.1), piecewise_constant([5, 20], [1, 0.1, 0.01])),
        (lambda o: lr_scheduler.PolynomialLR(o, 40, 0.9), polynomial_decay(40, power=0.9)),
        (lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 30), polynomial_decay(30, 0.1)),
        (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t)), inverse_time_decay(0.3)),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=61, pct_start=21 / 61), one_cycle(60, 20 / 60)),
    ],
)
def test_torch_agrees(theirs: Callable[[Any], Any], ours: Schedule) -> None:
    assert torch_rates(theirs, 60) == pytest.approx(ours.values(range(60)), rel=1e-9, abs=1e-15)


def test_a_rate_above_one_grows_without_an_error_of_arithmetic() -> None:
    assert exponential_decay(2)(10) == 1024
    assert exponential_decay(2)(1e9) == math.inf


def test_thousands_of_times_keep_the_times_order_and_number() -> None:
    ts = [i / 7 for i in range(10_000)]
    for schedule in (exponential_decay(0.9), inverse_sqrt_decay(), polynomial_decay(100, cycle=True), one_cycle(900)):
        assert schedule.values(iter(ts)) == [schedule(t) for t in ts]


@pytest.mark.parametrize(
    "schedule",
    [exponential_decay(0.9, 3, True), inverse_time_decay(1), inverse_sqrt_decay(2), piecewise_constant([1], [1, 0.5]),
     polynomial_decay(9), one_cycle(9)],
)  # fmt: skip
def test_a_schedule_is_a_frozen_value(schedule: Schedule) -> None:
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert len({schedule, pickle.loads(pickle.dumps(schedule))}) == 1
    assert schedule != exponential_decay(0.123)
    with pytest.raises(AttributeError, match="`rule` cannot be set to None: a schedule is frozen"):
        schedule.rule = None  # type: ignore[assignment, misc]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exponential_decay(0), r"`decay_rate` must be finite and > 0, got 0"),
        (lambda: exponential_decay(math.nan), r"`decay_rate` must be finite and > 0, got nan"),
        (lambda: exponential_decay(0.9, 0), r"`decay_steps` must be finite and > 0, got 0"),
        (lambda: inverse_time_decay(-1), r"`decay_rate` must be finite and >= 0, got -1"),
        (lambda: inverse_time_decay(1, math.inf), r"`decay_steps` must be finite and > 0, got inf"),
        (lambda: inverse_sqrt_decay(0), r"`k` must be finite and > 0, got 0"),
        (
            lambda: piecewise_constant([1, 2], [1]),
            r"one entry more than `boundaries`, got 1 factors for 2",
        ),
        (lambda: piecewise_constant([2, 2], [1, 1, 1]), r"`boundaries` must increase, got \[2, 2\]"),
        (lambda: piecewise_constant([math.nan], [1, 1]), r"`boundaries` must be finite and > 0, got nan"),
        (lambda: piecewise_constant([1], [1, -1]), r"`factors` must be finite and >= 0, got -1"),
        (lambda: polynomial_decay(-1), r"`decay_steps` must be finite and > 0, got -1"),
        (lambda: polynomial_decay(1, 1.1), r"`end_factor` must lie in \[0, 1\], got 1.1"),
        (lambda: polynomial_decay(1, power=0), r"`power` must be finite and > 0, got 0"),
    ],
)
def test_an_argument_out_of_range_is_refused_with_its_value(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_argument_of_the_wrong_type_is_refused_with_its_value() -> None:
    with pytest.raises(TypeError, match="`staircase` must be True or False, got 1"):
        exponential_decay(0.9, 1, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`boundaries` must be a list, got 3"):
        piecewise_constant(3, [1, 1])  # type: ignore[arg-type]
