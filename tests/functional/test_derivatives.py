"""Derivatives of functions that are known, right and wrong, with kinks and with rounding."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.derivatives import compare_derivative


@given(st.floats(0.1, 3), st.floats(-3, 3), st.floats(-100, 100))
def test_a_right_derivative_is_right_and_one_scaled_by_1_plus_1e_4_is_wrong(a: float, b: float, c: float) -> None:
    exact = a * math.cos(b) + 2 * a

    def value(t: float) -> float:
        return a * math.sin(t + b) + 2 * a * t + c

    assert compare_derivative(value, exact).verdict in ("right", "rounding")
    assert compare_derivative(value, exact * 1.0001).verdict == "wrong"
    assert compare_derivative(value, -exact).verdict == "wrong"


def test_a_loss_that_does_not_depend_on_the_step_has_derivative_zero() -> None:
    constant = compare_derivative(lambda t: 7.0, 0.0)
    assert (constant.verdict, constant.difference) == ("right", 0.0)
    rounding = compare_derivative(lambda t: 1e6 + (math.pi + t) - t, 1e-18)
    assert (rounding.verdict, rounding.difference) == ("rounding", 0.0)


@pytest.mark.parametrize(
    ("analytic", "verdict"), [(0.0, "kink"), (1.0, "kink"), (-1.0, "kink"), (1.5, "wrong"), (-2.0, "wrong")]
)
def test_at_a_kink_any_slope_between_the_two_sides_is_accepted(analytic: float, verdict: str) -> None:
    assert compare_derivative(abs, analytic).verdict == verdict


def test_a_kink_closer_than_the_step_is_a_kink() -> None:
    assert compare_derivative(lambda t: max(t, 5e-7), 0.0).verdict == "kink"
    assert compare_derivative(lambda t: max(t, 5e-7), 1.0).verdict == "unknown"


def test_curvature_is_not_a_kink() -> None:
    assert compare_derivative(lambda t: 50 * (t + 1e-3) ** 2, 0.1).verdict in ("right", "rounding")
    assert compare_derivative(lambda t: 50 * (t + 1e-3) ** 2, 0.2).verdict == "wrong"


def test_a_value_that_is_rounded_to_float32_says_nothing() -> None:
    def rounded(t: float) -> float:
        return round((math.sin(t + 1) + t) * 2**24) / 2**24

    assert compare_derivative(rounded, math.cos(1.0) + 1).verdict == "unknown"
