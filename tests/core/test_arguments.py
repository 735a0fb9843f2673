"""Arguments: each check lets the right value through and names the wrong one."""

import math

import pytest

from lightning_tricks.core.arguments import (
    check_choice,
    check_flag,
    check_name,
    check_number,
    check_text,
    check_whole,
)


def test_a_number_inside_its_interval_comes_back_as_a_float() -> None:
    assert check_number("p", 1, 0, 1) == 1.0
    assert check_number("p", -3) == -3.0


@pytest.mark.parametrize(
    ("value", "low", "high", "open_", "message"),
    [
        (1.5, 0, 1, {}, r"`p` must lie in \[0, 1\], got 1.5"),
        (0, 0, 1, {"low_open": True}, r"`p` must lie in \(0, 1\], got 0"),
        (1, 0, 1, {"high_open": True}, r"`p` must lie in \[0, 1\), got 1"),
        (-1, 0, math.inf, {}, r"`p` must be finite and >= 0, got -1"),
        (0, 0, math.inf, {"low_open": True}, r"`p` must be finite and > 0, got 0"),
        (math.inf, 0, math.inf, {}, r"`p` must be finite and >= 0, got inf"),
        (math.nan, -math.inf, math.inf, {}, r"`p` must be finite, got nan"),
        (2, -math.inf, 1, {}, r"`p` must lie in \(-inf, 1\], got 2"),
    ],
)
def test_a_number_outside_is_refused(value: float, low: float, high: float, open_: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_number("p", value, low, high, **open_)


@pytest.mark.parametrize("value", [True, "1", None, [1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="`p` must be a number, got"):
        check_number("p", value)


def test_choices_flags_and_names_are_checked() -> None:
    assert check_choice("unit", "ep", ("ep", "st")) == "ep"
    assert check_flag("log", False) is False
    assert (check_name("name", None), check_name("name", "head")) == (None, "head")
    with pytest.raises(ValueError, match="`unit` must be one of 'ep', 'st', got 'dur'"):
        check_choice("unit", "dur", ("ep", "st"))
    with pytest.raises(TypeError, match="`unit` must be one of 'ep', 'st', got 3"):
        check_choice("unit", 3, ("ep", "st"))
    with pytest.raises(TypeError, match="`log` must be True or False, got 'false'"):
        check_flag("log", "false")
    with pytest.raises(TypeError, match="`name` must be a string or None, got 3"):
        check_name("name", 3)
    with pytest.raises(ValueError, match="`name` must not be empty"):
        check_name("name", " ")


@pytest.mark.parametrize(("value", "error"), [("", ValueError), ("  ", ValueError), (None, TypeError), (3, TypeError)])
def test_a_text_has_something_in_it(value: object, error: type[Exception]) -> None:
    assert check_text("p", "val_loss") == "val_loss"
    with pytest.raises(error, match=r"`p` must "):
        check_text("p", value)


def test_a_whole_number_of_any_type_comes_back_as_an_int() -> None:
    for given in (100, 100.0, 1e2):
        assert check_whole("steps", given, 10, 1000) == 100
        assert type(check_whole("steps", given, 10, 1000)) is int


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (10.5, ValueError, "`steps` must be a whole number, got 10.5"),
        (9, ValueError, r"`steps` must lie in \[10, 1000\], got 9"),
        (1001.0, ValueError, r"`steps` must lie in \[10, 1000\], got 1001.0"),
        ("20", TypeError, r"`steps` must be a number, got '20' \(str\)"),
        (True, TypeError, r"`steps` must be a number, got True \(bool\)"),
    ],
)
def test_what_is_not_whole_or_outside_is_refused(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_whole("steps", value, 10, 1000)
