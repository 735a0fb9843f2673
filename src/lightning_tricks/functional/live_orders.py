"""Live orders: the orders that a running training accepts, checked key by key, and their effect on the learning rate.

An order is a small mapping, such as ``{"lr": "x0.5", "checkpoint": True}``. Its values arrive as text, from the lines
of a file or the arguments of a command; both are parsed here.
"""

import math
import re
from collections.abc import Mapping

Order = dict[str, str | float | int | bool]
"""What to do, by key, as plain values that a checkpoint can hold."""

KEYS = ("lr", "stop", "checkpoint", "validate", "id")
"""All keys of an order; ``id`` only distinguishes an order from an equal one before it."""

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_entry(key: str, text: str) -> str | float | int | bool:
    """Parse the value of one key of an order.

    Args:
        key: one of :data:`KEYS`.
        text: for ``lr``, ``x`` and a number for an additional factor, or a number alone for a learning rate; for
            ``id``, anything; otherwise true or false in YAML's spellings.

    Raises:
        ValueError: the key is unknown, or the value is not valid for it.

    Example:
        >>> read_entry("lr", "x0.5"), read_entry("lr", "1e-3"), read_entry("stop", "true"), read_entry("id", "7")
        ('x0.5', 0.001, True, 7)
        >>> read_entry("lr", "half")
        Traceback (most recent call last):
        ...
        ValueError: `lr` must be a number > 0, or x and a number > 0 (x0.5 halves it), got 'half'.
    """
    text = text.strip()
    if key not in KEYS:
        raise ValueError(f"`{key}` is not an order; the orders are {', '.join(KEYS)}.")
    if key == "id":
        if not text:
            raise ValueError("`id` must not be empty.")
        return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else text
    if key == "lr":
        number = _number(text.removeprefix("x"))
        return text if text.startswith("x") else number
    if text.lower() not in _FLAGS:
        raise ValueError(f"`{key}` must be true or false, got {text!r}.")
    return _FLAGS[text.lower()]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"`lr` must be a number > 0, or x and a number > 0 (x0.5 halves it), got {text!r}.")
    return number


def factor_after(factor: float, lr: str | float | int | bool, largest: float) -> float:
    r"""Return the factor by which orders multiply the learning rates, after one more order.

    .. math:: f' = f \cdot k \;\text{ for } x k, \qquad f' = \eta / \eta_{\max} \;\text{ for a number } \eta

    Args:
        factor: the combined factor of all orders so far.
        lr: the ``lr`` of the order.
        largest: the largest learning rate of all groups, without the factors that change during a run.

    Raises:
        ValueError: the rates are 0, or would become 0 or infinite.

    Example:
        >>> factor_after(0.5, "x0.5", largest=0.1), factor_after(0.5, 0.1, largest=0.1)
        (0.25, 1.0)
    """
    if not isinstance(lr, str) and largest <= 0:
        raise ValueError(f"all learning rates are {largest:g}, which cannot be scaled to {lr:g}.")
    after = factor * float(lr.removeprefix("x")) if isinstance(lr, str) else lr / largest
    if not (after > 0 and math.isfinite(after)):
        raise ValueError(f"lr {lr} after a factor of {factor:g} would make it {after:g}.")
    return after


def write_order(order: Mapping[str, object]) -> str:
    """Return the order as the lines of a control file.

    Example:
        >>> print(write_order({"lr": "x0.5", "stop": True}), end="")
        lr: x0.5
        stop: true
    """
    return "".join(
        f"{key}: {str(value).lower() if isinstance(value, bool) else value}\n" for key, value in order.items()
    )
