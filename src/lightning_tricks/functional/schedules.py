"""Schedules: functions of time that return a multiplier for the base learning rate.

``t`` is a time in the schedule's own unit, epochs or optimizer steps; the callback says which.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lightning_tricks.functional.arguments import check_number

# A time that is a corner but for rounding counts as the corner: 3 * 0.1 is a restart of cycles of length 0.1.
_ROUNDING = 1e-12


@dataclass(frozen=True, repr=False)
class Schedule:
    """A multiplier as a function of time: ``schedule(t)`` for any finite ``t >= 0``.

    Frozen, comparable by value and picklable; made by the functions of this module.

    Args:
        rule: ``rule(t, *arguments)``, a module-level function.
        arguments: what the rule takes beside the time.
    """

    rule: Callable[..., float]
    arguments: tuple[Any, ...] = ()

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


def linear_warmup(length: float, start_factor: float = 0.0) -> Schedule:
    r"""Rise from ``start_factor`` to 1 along a straight line, and stay at 1 from ``length`` on.

    .. math:: m(t) = s + (1 - s)\, \min(t / L, 1)

    Args:
        length: time until the multiplier is 1; 0 means no warm-up.
        start_factor: the multiplier at ``t = 0``, in ``[0, 1]``.

    Example:
        >>> linear_warmup(length=4, start_factor=0.5).values([0, 1, 2, 4, 100])
        [0.5, 0.625, 0.75, 1.0, 1.0]

    References:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.
    """
    check_number("length", length, 0)
    check_number("start_factor", start_factor, 0, 1)
    return Schedule(_linear_warmup, (length, start_factor))


def _linear_warmup(t: float, length: float, start_factor: float) -> float:
    if t >= length:
        return 1.0
    return start_factor + (1 - start_factor) * t / length


def cosine_decay(decay_steps: float, end_factor: float = 0.0) -> Schedule:
    r"""Fall from 1 to ``end_factor`` along half a cosine, and stay there.

    .. math:: m(t) = f + \tfrac{1}{2}(1 - f)(1 + \cos(\pi t / T))

    Args:
        decay_steps: the time :math:`T` of the whole fall, > 0.
        end_factor: the multiplier :math:`f` from ``decay_steps`` on, in ``[0, 1]``.

    Example:
        >>> cosine_decay(decay_steps=100, end_factor=0.1).values([0, 50, 100, 1_000])
        [1.0, 0.55, 0.1, 0.1]

    References:
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, equation 5 without restarts.
    """
    check_number("decay_steps", decay_steps, 0, low_open=True)
    check_number("end_factor", end_factor, 0, 1)
    return Schedule(_cosine_decay, (decay_steps, end_factor))


def _cosine_decay(t: float, decay_steps: float, end_factor: float) -> float:
    return _half_cosine(t / decay_steps, 1.0, end_factor)


def _half_cosine(share: float, start: float, end: float) -> float:
    """Go from exactly ``start`` at share 0 to exactly ``end`` at share 1 and after it."""
    if share <= 0:
        return start
    if share >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def cosine_warm_restarts(t_0: float, t_mult: float = 1.0, end_factor: float = 0.0, peak_decay: float = 1.0) -> Schedule:
    r"""Fall along half a cosine, again and again: exactly the peak at each restart.

    Cycle :math:`i` lasts :math:`T_i = T_0\, k^i` and starts at :math:`S_i = T_0 (k^i - 1) / (k - 1)`, or at
    :math:`i\, T_0` where :math:`k = 1`; within it

    .. math:: m(t) = f + \tfrac{1}{2}(p_i - f)(1 + \cos(\pi (t - S_i) / T_i)), \quad p_i = \max(d^i, f)

    Args:
        t_0: length :math:`T_0` of the first cycle, > 0.
        t_mult: each cycle is :math:`k` times as long as the last, > 0, fractions too. Below 1 the cycles end at
            ``t_0 / (1 - t_mult)``: ``end_factor`` from there on.
        end_factor: the multiplier :math:`f` that each cycle falls to, in ``[0, 1]``; no peak is lower.
        peak_decay: cycle :math:`i` peaks at :math:`d^i`, in ``(0, 1]``.

    Example:
        >>> m = cosine_warm_restarts(t_0=2, t_mult=2, peak_decay=0.5)
        >>> m.values([0, 1, 2, 4, 6])
        [1.0, 0.5, 0.5, 0.25, 0.25]

    References:
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, equation 5.
    """
    check_number("t_0", t_0, 0, low_open=True)
    check_number("t_mult", t_mult, 0, low_open=True)
    check_number("end_factor", end_factor, 0, 1)
    check_number("peak_decay", peak_decay, 0, 1, low_open=True)
    return Schedule(_cosine_warm_restarts, (t_0, t_mult, end_factor, peak_decay))


def _cosine_warm_restarts(t: float, t_0: float, t_mult: float, end_factor: float, peak_decay: float) -> float:
    cycle = find_cycle(t, t_0, t_mult)
    if cycle is None:
        return end_factor
    index, since_restart = cycle
    peak = max(peak_decay**index, end_factor)
    return _half_cosine(since_restart / (t_0 * t_mult**index), peak, end_factor)


def find_cycle(t: float, t_0: float, t_mult: float) -> tuple[int, float] | None:
    """Return the index of the cycle that ``t`` lies in and the time since its start; ``None`` after the last.

    Args:
        t: a time >= 0.
        t_0: length of the first cycle.
        t_mult: ratio of a cycle's length to that of the one before.

    Example:
        >>> find_cycle(121, t_0=1, t_mult=3)  # 1 + 3 + 9 + 27 + 81: a restart
        (5, 0.0)
    """
    x = t / t_0
    reached = x * (1 + _ROUNDING)
    if t_mult == 1:
        index = math.floor(reached)
        start = float(index)
    else:
        growth = t_mult - 1
        if 1 + reached * growth <= 0:
            return None
        index = math.floor(math.log1p(x * growth) / math.log(t_mult)) if x else 0
        # the logarithm may miss a restart by a rounding: the starts decide
        if _cycle_start(index + 1, t_mult) <= reached:
            index += 1
        elif _cycle_start(index, t_mult) > reached:
            index -= 1
        start = _cycle_start(index, t_mult)
    since = t - t_0 * start
    return index, since if since > t * _ROUNDING else 0.0


def _cycle_start(index: int, t_mult: float) -> float:
    """Sum the first ``index`` terms of the geometric series, without cancellation where ``t_mult`` is near 1."""
    return math.expm1(index * math.log(t_mult)) / (t_mult - 1)


def join(schedules: Sequence[Callable[[float], float]], boundaries: Sequence[float]) -> Schedule:
    """Follow one schedule after the other; each one's clock starts at 0 at its boundary.

    Args:
        schedules: two or more, or one with no boundary.
        boundaries: the times at which the next one takes over, rising, > 0, one fewer than ``schedules``.

    Raises:
        ValueError: a wrong number of boundaries, or boundaries that do not rise.

    Example:
        >>> join([linear_warmup(2), cosine_decay(4)], [2]).values([0, 1, 2, 4, 6])
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"`boundaries` must be one fewer than `schedules`, got {len(boundaries)} for {len(schedules)} schedules."
        )
    for boundary in boundaries:
        check_number("boundaries", boundary, 0, low_open=True)
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise ValueError(f"`boundaries` must rise, got {list(boundaries)}.")
    return Schedule(_join, (tuple(schedules), tuple(boundaries)))


def _join(t: float, schedules: tuple[Callable[[float], float], ...], boundaries: tuple[float, ...]) -> float:
    index = bisect_right(boundaries, t)
    return schedules[index](t - boundaries[index - 1] if index else t)


def product(*schedules: Callable[[float], float]) -> Schedule:
    """Multiply schedules that share one clock.

    Example:
        >>> product(linear_warmup(4), cosine_decay(4)).values([0, 2, 4])
        [0.0, 0.25, 0.0]
    """
    return Schedule(_product, schedules)


def _product(t: float, *schedules: Callable[[float], float]) -> float:
    return math.prod(schedule(t) for schedule in schedules)
