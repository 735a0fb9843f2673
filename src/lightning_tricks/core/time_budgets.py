"""Time budgets: ``"30s"``, ``"2min"``, ``"1h"`` or a number of seconds."""

import math
import re

from lightning_tricks.core.arguments import check_number, shown, shown_with_type

_SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_FORM = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|min|h|)\s*")


def parse_budget(name: str, value: object) -> float:
    """Parse a wall-clock time and return it in seconds.

    Args:
        name: the argument as the caller spells it, for the message.
        value: a number of seconds, or a number with ``s``, ``min`` or ``h``.

    Raises:
        TypeError: the value is neither a number nor a string.
        ValueError: the form is unknown, or the value is not > 0.

    Example:
        >>> parse_budget("budget", "1.5min"), parse_budget("budget", 20)
        (90.0, 20.0)
    """
    if isinstance(value, str):
        match = _FORM.fullmatch(value)
        if match is None:
            raise ValueError(f"`{name}` must be a length of time such as '30s', '2min' or '1h', got {shown(value)}.")
        value = float(match[1]) * _SECONDS[match[2]]
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` must be seconds or a string such as '30s', got {shown_with_type(value)}.")
    return check_number(name, value, 0, math.inf, low_open=True)
