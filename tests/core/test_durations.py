"""Durations: every form is read exactly, everything else is refused, and shares follow what bounds the run."""

import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.core.durations import Moment, RunLength, measure, measure_together, parse_duration


@pytest.mark.parametrize(
    ("given_", "amount", "unit"),
    [
        (3, Fraction(3), "ep"),
        (0.1, Fraction(1, 10), "ep"),
        ("3ep", Fraction(3), "ep"),
        (" 2.5 ep ", Fraction(5, 2), "ep"),
        ("500st", Fraction(500), "st"),
        ("1e3st", Fraction(1000), "st"),
        ("0.07dur", Fraction(7, 100), "dur"),
        (".5dur", Fraction(1, 2), "dur"),
    ],
)
def test_a_duration_is_read_as_written(given_: object, amount: Fraction, unit: str) -> None:
    assert parse_duration(given_) == (amount, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["", "3", "ep", "3 epochs", "-1ep", "0.1", "nanst", "1,5ep", "infdur"])
def test_a_string_of_another_form_is_refused_with_the_forms(bad: str) -> None:
    with pytest.raises(ValueError, match=r'`t_0` must be a duration: 3 or "3ep".*got'):
        parse_duration(bad, "t_0")


@pytest.mark.parametrize("bad", [-1, -0.5, math.nan, math.inf])
def test_a_number_that_is_no_length_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"`t_0` must be a .*duration.*got"):
        parse_duration(bad, "t_0")


@pytest.mark.parametrize("bad", [None, True, [3], {"ep": 3}])
def test_another_type_is_refused(bad: object) -> None:
    with pytest.raises(TypeError, match=r"`t_0` must be a duration"):
        parse_duration(bad, "t_0")  # type: ignore[arg-type]


@pytest.mark.parametrize("zero", [0, "0st", "0.0dur"])
def test_zero_is_refused_where_a_length_must_be_positive(zero: object) -> None:
    assert parse_duration(zero).amount == 0  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be a duration > 0"):
        parse_duration(zero, positive=True)  # type: ignore[arg-type]


@given(st.integers(0, 1000), st.integers(1, 10**6))
def test_a_share_of_the_steps_lands_exactly_on_its_step(thousandths: int, steps: int) -> None:
    text = f"{thousandths / 1000}dur"
    amount, unit = measure(parse_duration(text), RunLength(None, steps))
    assert unit == "st"
    assert amount == Fraction(thousandths * steps, 1000)


@given(st.integers(0, 100), st.integers(1, 50), st.integers(1, 1000))
def test_a_moment_in_epochs_equals_the_corner_of_the_same_fraction(share: int, epochs: int, parts: int) -> None:
    corner = float(measure(parse_duration(f"{share / 100}dur"), RunLength(epochs, None))[0])
    step = Fraction(share * epochs * parts, 100)
    if step.denominator == 1:
        epoch, part = divmod(int(step), parts)
        assert Moment(epoch, part, parts, int(step)).time("ep") == corner


def test_a_share_is_of_epochs_if_they_bound_the_run_else_of_steps() -> None:
    half = parse_duration("0.5dur")
    assert measure(half, RunLength(10, None)) == (5, "ep")
    assert measure(half, RunLength(None, 100)) == (50, "st")
    with pytest.raises(ValueError, match=r"`t_0` is a share of the run \(0.5dur\), but nothing bounds this run"):
        measure(half, RunLength(None, None), "t_0")


def test_lengths_of_one_factor_share_a_clock() -> None:
    run = RunLength(10, None)
    assert measure_together(run, a="0.5dur", b=2) == ({"a": 5.0, "b": 2.0}, "ep")
    assert measure_together(run, a="5st", b=0) == ({"a": 5.0, "b": 0.0}, "st")
    assert measure_together(run, a=0) == ({"a": 0.0}, "ep")
    with pytest.raises(ValueError, match=r"must share a clock, got `a`='5st' \(in st\), `b`='0.5dur' \(in ep\)"):
        measure_together(run, a="5st", b="0.5dur")


def test_a_moment_tells_the_time_on_either_clock() -> None:
    moment = Moment(epoch=2, part=3, parts=4, step=11)
    assert (moment.time("ep"), moment.time("st")) == (2.75, 11)
    assert moment._replace(part=9).time("ep") == 3.0  # a loader that grew: never beyond the epoch's end
    assert moment._replace(parts=None).time("ep") == 2  # a loader whose end was not seen: the epoch's start


@pytest.mark.parametrize(
    ("value", "amount"),
    [(Fraction(1, 3), Fraction(1, 3)), (np.float32(0.5), Fraction(1, 2)), (np.int64(3), Fraction(3))],
)
def test_a_number_of_another_library_is_not_cut_off_to_a_whole_one(value: Any, amount: Fraction) -> None:
    assert parse_duration(value) == (amount, "ep")


@pytest.mark.parametrize("value", ["1e999999999dur", "9" * 5000 + "st", 10**400, 1e16, 1e-10])
def test_a_length_that_no_run_can_have_is_refused_at_once_in_a_short_message(value: Any) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match="`warmup` must be") as caught:
        parse_duration(value, "warmup")
    assert time.process_time() - before < 0.1
    assert len(str(caught.value)) < 500
