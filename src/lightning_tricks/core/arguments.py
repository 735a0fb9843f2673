"""Arguments: refuse what is out of range where it is given, with the value and the way out."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any


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
        value: what was given. ``bool`` is no number here: ``t_mult=True`` is a slip of the pen.
        low: the lower bound.
        high: the upper bound.
        low_open: the lower bound itself is refused.
        high_open: the upper bound itself is refused.

    Raises:
        TypeError: not a real number.
        ValueError: NaN, infinite, or outside the interval.

    Example:
        >>> check_number("end_factor", 1.5, 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: `end_factor` must lie in [0, 1], got 1.5.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {value!r} ({type(value).__name__}).")
    number = float(value)
    above = number > low if low_open else number >= low
    below = number < high if high_open else number <= high
    if not (above and below and math.isfinite(number)):
        raise ValueError(f"`{name}` must {_interval(low, high, low_open, high_open)}, got {value!r}.")
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
    """Return ``value`` if it is a string with something in it.

    Raises:
        TypeError: not a string.
        ValueError: an empty string.
    """
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string, got {value!r} ({type(value).__name__}).")
    if not value.strip():
        raise ValueError(f"`{name}` must not be empty, got {value!r}.")
    return value


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        TypeError: not a string.
        ValueError: another string; the message lists the choices.

    Example:
        >>> check_choice("unit", "epoch", ("ep", "st"))
        Traceback (most recent call last):
        ...
        ValueError: `unit` must be one of 'ep', 'st', got 'epoch'.
    """
    listed = ", ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be one of {listed}, got {value!r} ({type(value).__name__}).")
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` if it is ``True`` or ``False``.

    Raises:
        TypeError: anything else, the string ``"false"`` included, which Python would take for true.
    """
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {value!r} ({type(value).__name__}).")
    return value


def check_name(name: str, value: object) -> str | None:
    """Return ``value`` if it is ``None`` or a string with something in it.

    Raises:
        TypeError: not a string.
        ValueError: an empty string.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string or None, got {value!r} ({type(value).__name__}).")
    if not value.strip():
        raise ValueError(f"`{name}` must not be empty; leave it out or give a word, got {value!r}.")
    return value


def check_list(name: str, value: object) -> list[Any]:
    """Return the items of ``value`` if it is a list, a tuple or another sequence.

    Raises:
        TypeError: anything else, a string included, which Python would take for a list of letters.

    Example:
        >>> check_list("boundaries", "10ep")
        Traceback (most recent call last):
        ...
        TypeError: `boundaries` must be a list, got '10ep' (str).
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"`{name}` must be a list, got {value!r} ({type(value).__name__}).")
    return list(value)


def check_count(name: str, value: object, low: int) -> int:
    """Return ``value`` if it is a whole number of at least ``low``.

    Raises:
        TypeError: not an ``int``.
        ValueError: too small.

    Example:
        >>> check_count("window", 0, 1)
        Traceback (most recent call last):
        ...
        ValueError: `window` must be at least 1, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` must be a whole number, got {value!r} ({type(value).__name__}).")
    if value < low:
        raise ValueError(f"`{name}` must be at least {low}, got {value}.")
    return value
