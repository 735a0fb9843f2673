"""Derivatives: compare the derivative of a scalar function with finite differences, allowing for kinks and rounding."""

from collections.abc import Callable
from typing import Literal, NamedTuple

_ROUNDING = 2e-15  # relative rounding error of a float64 loss; a sum of many terms is rounded more than once
_FACTORS = (0.1, 1.0, 10.0, 100.0)  # multiples of `eps`: small steps avoid kinks, large ones avoid rounding errors
_CLEAR = 10.0  # a difference of this many error bars is significant
_SLIGHT = 1e-3  # a smaller relative difference of the one-sided slopes is attributed to curvature

Verdict = Literal["right", "rounding", "wrong", "kink", "unknown"]


class Comparison(NamedTuple):
    """A given derivative and its finite-difference estimate.

    Attributes:
        analytic: the given derivative.
        numeric: the finite difference with the smallest error bar.
        error_bar: uncertainty of ``numeric``.
        verdict: ``"right"``; ``"rounding"``: they differ by no more than rounding; ``"wrong"``; ``"kink"``: the
            function has no derivative there, and what was given lies between the one-sided ones; ``"unknown"``:
            differences of several steps contradict each other.
    """

    analytic: float
    numeric: float
    error_bar: float
    verdict: Verdict

    @property
    def difference(self) -> float:
        """The absolute difference; 0 if it is explained by rounding."""
        return 0.0 if self.verdict == "rounding" else abs(self.analytic - self.numeric)


def compare_derivative(
    value: Callable[[float], float],
    analytic: float,
    *,
    eps: float = 1e-6,
    tol: float = 1e-7,
    at_zero: float | None = None,
) -> Comparison:
    r"""Compare a derivative at 0 with central differences.

    If the difference :math:`(f(h) - f(-h)) / 2h` at ``eps`` agrees, it decides. Otherwise, steps from
    ``eps / 10`` to ``100 eps`` are tried, the longer ones to fourth order, and the estimate with the smallest error bar
    is used. The error bar is the rounding error plus the distance from the estimate of the next step.

    Args:
        value: the function, computed in float64 and deterministic.
        analytic: the derivative at 0 to check.
        eps: the step, > 0.
        tol: the largest relative difference :math:`|a - n| / (|a| + |n|)` of a correct derivative.
        at_zero: the value of the function at 0, if known.

    Returns:
        Both derivatives and the verdict.

    Example:
        >>> import math
        >>> compare_derivative(math.exp, 1.0).verdict, compare_derivative(math.exp, 1.0001).verdict
        ('right', 'wrong')
        >>> compare_derivative(abs, 0.3).verdict
        'kink'

    References:
        Press et al., Numerical Recipes, 3rd edition, 2007, section 5.7.
    """
    middle = value(0.0) if at_zero is None else at_zero
    up, down = value(eps), value(-eps)
    floor = _ROUNDING * max(abs(up), abs(down)) / eps
    first = (up - down) / (2 * eps)
    sides = ((middle - down) / eps, (up - middle) / eps)
    if abs(analytic - first) <= tol * (abs(analytic) + abs(first)):
        is_kink = _is_kink(value, middle, sides, eps, floor)
        return Comparison(analytic, first, floor, "kink" if is_kink else "right")
    readings = _read(value, eps, first, floor)
    error_bar, numeric = min((bar, found) for found, bar in readings)
    verdict = _judge(analytic, numeric, error_bar, tol, floor, [found for found, _ in readings])
    if verdict in ("wrong", "unknown") and min(sides) <= analytic <= max(sides):
        verdict = "kink" if _is_kink(value, middle, sides, eps, floor) else verdict
    return Comparison(analytic, numeric, error_bar, verdict)


def _read(value: Callable[[float], float], eps: float, first: float, floor: float) -> list[tuple[float, float]]:
    """Return the differences of all steps with their error bars."""
    found = [first if factor == 1 else _central(value, factor * eps, high_order=factor > 1) for factor in _FACTORS]
    readings = []
    for place, factor in enumerate(_FACTORS):
        neighbors = [found[other] for other in (place - 1, place + 1) if 0 <= other < len(found)]
        readings.append((found[place], floor / factor + min(abs(found[place] - other) for other in neighbors)))
    return readings


def _judge(analytic: float, numeric: float, error_bar: float, tol: float, floor: float, found: list[float]) -> Verdict:
    difference = abs(analytic - numeric)
    if difference <= tol * (abs(analytic) + abs(numeric)):
        return "right"
    if difference <= error_bar <= _CLEAR * floor:
        return "rounding"
    nearest, *others = found
    rounding = floor / _FACTORS[0]
    if abs(analytic - nearest) <= rounding and abs(nearest - others[0]) > _CLEAR * rounding:
        return "kink"  # between the shortest step and the next one
    contradiction = max(others) - min(others)  # a rounded value is constant only over short steps
    return "wrong" if difference > _CLEAR * max(error_bar, contradiction) else "unknown"


def _central(value: Callable[[float], float], step: float, high_order: bool) -> float:
    near = value(step) - value(-step)
    if not high_order:
        return near / (2 * step)
    far = value(2 * step) - value(-2 * step)
    return (8 * near - far) / (12 * step)


def _is_kink(
    value: Callable[[float], float], middle: float, sides: tuple[float, float], eps: float, floor: float
) -> bool:
    """Return whether the one-sided slopes differ by the same amount at all steps; with curvature the amount grows."""
    gap = abs(sides[1] - sides[0])
    if gap <= max(_SLIGHT * (abs(sides[0]) + abs(sides[1])), _CLEAR * floor):
        return False
    others = (abs(value(step) + value(-step) - 2 * middle) / step for step in (eps / 10, 10 * eps))
    return all(0.5 * gap < other < 2 * gap for other in others)
