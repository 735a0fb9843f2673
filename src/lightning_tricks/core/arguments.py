"""Arguments: check values when they are given; errors name the value and a way out."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

_SHOWN_CHARS = 200
_MOST_ITEMS = 1_000_000
SHORTEST, LONGEST = 1e-9, 1e15
"""Bounds of a length of time; no useful length is shorter or longer."""


def shown(value: object) -> str:
    """Return the ``repr`` of a value for a message, truncated if it is long.

    Example:
        >>> shown("epoch"), len(shown("e" * 10_000))
        ("'epoch'", 200)
    """
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"{type(value).__name__} with too many digits to print"
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def shown_with_type(value: object) -> str:
    """Return the ``repr`` of a value, truncated if it is long, and its type.

    Example:
        >>> shown_with_type("3")
        "'3' (str)"
    """
    return f"{shown(value)} ({type(value).__name__})"


def as_float(value: Real) -> float:
    """Return a real number as a float; infinity if it is too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def check_number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return ``value`` if it is a real number in the interval from ``low`` to ``high``.

    Args:
        name: the argument as the caller spells it, for the message.
        value: the given value. ``bool`` is not accepted as a number: ``t_mult=True`` is a mistake.
        low: the lower bound.
        high: the upper bound.
        low_open: exclude the lower bound.
        high_open: exclude the upper bound.

    Raises:
        TypeError: not a real number.
        ValueError: NaN, infinite, or outside the interval.

    Example:
        >>> check_number("end_factor", 1.5, 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: `end_factor` must lie in [0, 1], got 1.5.
    """
    if type(value) is float:  # first, because a test against an abstract class is slow
        number = value
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {shown_with_type(value)}.")
    else:
        number = as_float(value)
    above = number > low if low_open else number >= low
    below = number < high if high_open else number <= high
    if not (above and below and math.isfinite(number)):
        raise ValueError(f"`{name}` must {_interval(low, high, low_open, high_open)}, got {shown(value)}.")
    return number


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    if math.isinf(low) and math.isinf(high):
        return "be finite"
    if math.isinf(high):
        return f"be finite and {'>' if low_open else '>='} {low:g}"
    left = "(" if low_open or math.isinf(low) else "["
    right = ")" if high_open else "]"
    return f"lie in {left}{low:g}, {high:g}{right}"


def check_text(name: str, value: object) -> str:
    """Return ``value`` if it is a non-empty string.

    Raises:
        TypeError: not a string.
        ValueError: an empty string.
    """
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string, got {shown_with_type(value)}.")
    if not value.strip():
        raise ValueError(f"`{name}` must not be empty, got {shown(value)}.")
    return value


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        TypeError: not a string.
        ValueError: not one of the choices; the message lists them.

    Example:
        >>> check_choice("unit", "epoch", ("ep", "st"))
        Traceback (most recent call last):
        ...
        ValueError: `unit` must be one of 'ep', 'st', got 'epoch'.
    """
    listed = ", ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be one of {listed}, got {shown_with_type(value)}.")
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {listed}, got {shown(value)}.")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` if it is ``True`` or ``False``.

    Raises:
        TypeError: anything else, including the string ``"false"``, which is true in Python.
    """
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {shown_with_type(value)}.")
    return value


def check_name(name: str, value: object) -> str | None:
    """Return ``value`` if it is ``None`` or a non-empty string.

    Raises:
        TypeError: not a string.
        ValueError: an empty string.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string or None, got {shown_with_type(value)}.")
    if not value.strip():
        raise ValueError(f"`{name}` must not be empty; omit it or give a name, got {shown(value)}.")
    return value


def check_list(name: str, value: object) -> list[Any]:
    """Return the items of ``value`` if it is a list, a tuple or another sequence of at most a million items.

    Raises:
        TypeError: anything else, including a string, which Python would iterate letter by letter.
        ValueError: too many items.

    Example:
        >>> check_list("boundaries", "10ep")
        Traceback (most recent call last):
        ...
        TypeError: `boundaries` must be a list, got '10ep' (str).
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"`{name}` must be a list, got {shown_with_type(value)}.")
    if len(value) > _MOST_ITEMS:
        raise ValueError(f"`{name}` must have at most {_MOST_ITEMS:,} items, got {len(value):,}.")
    return list(value)


def check_words(name: str, value: object, kind: str = "strings") -> list[str]:
    """Return the strings of ``value`` as a list; a single string becomes a list of one.

    Args:
        name: the argument as the caller spells it, for the message.
        value: the given value.
        kind: what the strings are, for the message.

    Raises:
        TypeError: not an iterable of strings.

    Example:
        >>> check_words("select", ["PLC", 5])
        Traceback (most recent call last):
        ...
        TypeError: `select` must be a list of strings, got ['PLC', 5].
    """
    if isinstance(value, str):
        return [value]
    try:
        items = iter(value)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"`{name}` must be a list of {kind}, got {shown_with_type(value)}.") from None
    words: list[str] = []
    for word in items:
        if not isinstance(word, str):
            raise TypeError(f"`{name}` must be a list of {kind}, got {shown(value)}.")
        words.append(word)
    return words


def check_length(name: str, value: object) -> float:
    """Return ``value`` if it is a possible length of time in epochs or optimizer steps.

    Raises:
        TypeError: not a real number.
        ValueError: NaN, less than 1e-9, or more than 1e15.

    Example:
        >>> check_length("decay_steps", 0)
        Traceback (most recent call last):
        ...
        ValueError: `decay_steps` must be finite and > 0, got 0.
    """
    check_number(name, value, 0, low_open=True)
    return check_number(name, value, SHORTEST, LONGEST)


def check_whole(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> int:
    """Return ``value`` as an ``int`` if it is a whole number of any type, such as the float that ``1e2`` is in YAML.

    Raises:
        TypeError: not a real number.
        ValueError: not whole, or outside the interval from ``low`` to ``high``.

    Example:
        >>> check_whole("num_steps", 100.0, 10, 10_000)
        100
    """
    number = check_number(name, value, low, high)
    if number != int(number):
        raise ValueError(f"`{name}` must be a whole number, got {shown(value)}.")
    return int(number)


def check_count(name: str, value: object, low: int, high: float = math.inf) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``.

    Raises:
        TypeError: not an ``int``.
        ValueError: too small or too large.

    Example:
        >>> check_count("window", 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: `window` must be at least 1, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` must be a whole number, got {shown_with_type(value)}.")
    if value < low:
        raise ValueError(f"`{name}` must be at least {low}, got {shown(value)}.")
    if value > high:
        raise ValueError(f"`{name}` must be at most {high:,}, got {shown(value)}.")
    return value
