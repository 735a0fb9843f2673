"""Schedule parts: the frozen function of time behind every schedule, with exact corners."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any


class Schedule:
    """A multiplier as a function of time: ``schedule(t)`` for any finite ``t >= 0``.

    Frozen, comparable by value and picklable; created by the functions of :mod:`lightning_tricks.functional.schedules`.
    Not a dataclass, because OmegaConf would treat one in a list of ``_target_`` nodes as a configuration.

    Args:
        rule: ``rule(t, *arguments)``, a module-level function.
        arguments: the arguments of the rule after the time.
    """

    __slots__ = ("arguments", "rule")

    rule: Callable[..., float]
    arguments: tuple[Any, ...]

    def __init__(self, rule: Callable[..., float], arguments: tuple[Any, ...] = ()) -> None:
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "arguments", arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"`{name}` cannot be set to {value!r}: a schedule is frozen. Create a new one.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and (self.rule, self.arguments) == (other.rule, other.arguments)

    def __hash__(self) -> int:
        return hash((self.rule, self.arguments))

    def __reduce__(self) -> tuple[type["Schedule"], tuple[Any, ...]]:
        return Schedule, (self.rule, self.arguments)

    def __call__(self, t: float) -> float:
        """Return the multiplier at time ``t``.

        Raises:
            ValueError: ``t`` is negative, NaN or infinite.
        """
        if not 0 <= t < math.inf:
            raise ValueError(f"`t` must be a finite time >= 0, got {t!r}.")
        return self.rule(t, *self.arguments)

    def values(self, ts: Iterable[float]) -> list[float]:
        """Return the multipliers at the times ``ts``."""
        return [self(t) for t in ts]

    def __repr__(self) -> str:
        return f"{self.rule.__name__.lstrip('_')}({', '.join(map(repr, self.arguments))})"


def count_lengths(t: float, length: float) -> tuple[int, bool]:
    """Return the number of whole lengths before ``t``, and whether ``t`` is exactly the end of the last.

    A multiple of the length is recognized both as a product of floats and as the float nearest to the product of the
    decimals. Any other time, however close, does not count as a multiple.

    Args:
        t: a time >= 0.
        length: > 0.

    Example:
        >>> 0.3 // 0.1, 3 * 0.1 == 0.3
        (2.0, False)
        >>> count_lengths(0.3, 0.1), count_lengths(3 * 0.1, 0.1)
        ((3, True), (3, True))
        >>> count_lengths(math.nextafter(10, 0), 5)
        (1, False)
    """
    nearest = round(t / length)
    multiple = nearest * length
    if multiple == t or (math.isclose(multiple, t) and float(nearest * Fraction(repr(float(length)))) == t):
        return nearest, True
    return int(t // length), False


def half_cosine(share: float, start: float, end: float) -> float:
    """Interpolate from exactly ``start`` at share 0 to exactly ``end`` at share 1 and above."""
    if share <= 0:
        return start
    if share >= 1:
        return end
    value = end + (start - end) * (1 + math.cos(math.pi * share)) / 2
    # near the start, the sum may be rounded past it
    return min(max(value, end), start) if end < start else max(min(value, end), start)
