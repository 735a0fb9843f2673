"""Schedule cycles: repeated restarts, and a single rise and fall."""

import math
from collections.abc import Callable

from lightning_tricks.core.arguments import check_length, check_number
from lightning_tricks.functional.schedule_parts import Schedule, half_cosine

# A time that differs from a corner only by rounding counts as the corner: 3 * 0.1 is a restart for length 0.1.
_ROUNDING = 1e-12
# Beyond these bounds a length or a multiplier would not stay finite within a run.
_LARGEST_RATIO = 1e6
_SMALLEST_DIVISOR = 1e-12


def _check_positive(name: str, value: object, low: float = 0.0, high: float = math.inf) -> float:
    check_number(name, value, 0, low_open=True)
    return check_number(name, value, low, high)


def cosine_warm_restarts(t_0: float, t_mult: float = 1.0, end_factor: float = 0.0, peak_decay: float = 1.0) -> Schedule:
    r"""Decay along half a cosine repeatedly, with exactly the peak at each restart.

    Cycle :math:`i` lasts :math:`T_i = T_0\, k^i` and starts at :math:`S_i = T_0 (k^i - 1) / (k - 1)`, or at
    :math:`i\, T_0` where :math:`k = 1`; within it

    .. math:: m(t) = f + \tfrac{1}{2}(p_i - f)(1 + \cos(\pi (t - S_i) / T_i)), \quad p_i = \max(d^i, f)

    Args:
        t_0: length :math:`T_0` of the first cycle, > 0.
        t_mult: each cycle is :math:`k` times as long as the last, in ``(0, 1e6]``, also fractional. Below 1, the cycles
            end at ``t_0 / (1 - t_mult)``, and the multiplier is ``end_factor`` after that.
        end_factor: the multiplier :math:`f` at the end of each cycle, in ``[0, 1]``; no peak is lower.
        peak_decay: cycle :math:`i` peaks at :math:`d^i`, in ``(0, 1]``.

    Example:
        >>> m = cosine_warm_restarts(t_0=2, t_mult=2, peak_decay=0.5)
        >>> m.values([0, 1, 2, 4, 6])
        [1.0, 0.5, 0.5, 0.25, 0.25]

    References:
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, equation 5.
    """
    check_length("t_0", t_0)
    # floats, because a power of an exact fraction has as many digits as there were cycles
    ratio = _check_positive("t_mult", t_mult, high=_LARGEST_RATIO)
    check_number("end_factor", end_factor, 0, 1)
    decay = check_number("peak_decay", peak_decay, 0, 1, low_open=True)
    return Schedule(_cosine_warm_restarts, (t_0, ratio, end_factor, decay))


def _cosine_warm_restarts(t: float, t_0: float, t_mult: float, end_factor: float, peak_decay: float) -> float:
    cycle = find_cycle(t, t_0, t_mult)
    if cycle is None:
        return end_factor
    index, since_restart = cycle
    peak = max(peak_decay**index, end_factor)
    return half_cosine(since_restart / (t_0 * t_mult**index), peak, end_factor)


def find_cycle(t: float, t_0: float, t_mult: float) -> tuple[int, float] | None:
    """Return the index of the cycle that contains ``t`` and the time since its start; ``None`` after the last.

    Args:
        t: a time >= 0.
        t_0: length of the first cycle.
        t_mult: ratio of the lengths of successive cycles.

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
        # rounding in the logarithm may miss a restart, so compare with the cycle starts
        if _cycle_start(index + 1, t_mult) <= reached:
            index += 1
        elif _cycle_start(index, t_mult) > reached:
            index -= 1
        start = _cycle_start(index, t_mult)
    since = t - t_0 * start
    return index, since if since > t * _ROUNDING else 0.0


def in_each_cycle(schedule: Schedule, t_0: float, t_mult: float) -> Schedule:
    """Apply a schedule in each cycle from its start; 1 after the last cycle.

    Args:
        schedule: a schedule whose time starts at each restart.
        t_0: length of the first cycle.
        t_mult: ratio of the lengths of successive cycles.

    Example:
        >>> from lightning_tricks.functional.schedules import linear_warmup
        >>> in_each_cycle(linear_warmup(2), t_0=4, t_mult=1).values([0, 1, 2, 4, 5])
        [0.0, 0.5, 1.0, 0.0, 0.5]
    """
    return Schedule(_in_each_cycle, (schedule, t_0, t_mult))


def _in_each_cycle(t: float, schedule: Schedule, t_0: float, t_mult: float) -> float:
    cycle = find_cycle(t, t_0, t_mult)
    return 1.0 if cycle is None else schedule(cycle[1])


def moves_early(rule: Callable[[float], float], probes: int = 64) -> bool:
    """Return whether a function of time changes before time 1, checked at this number of times.

    Example:
        >>> moves_early(cosine_warm_restarts(4)), moves_early(lambda t: 0.5 ** int(t))
        (True, False)
    """
    start = rule(0.0)
    return any(rule(i / probes) != start for i in range(1, probes))


def _cycle_start(index: int, t_mult: float) -> float:
    """Sum the first ``index`` terms of the geometric series, without cancellation where ``t_mult`` is near 1."""
    return math.expm1(index * math.log(t_mult)) / (t_mult - 1)


def one_cycle(
    total: float, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4
) -> Schedule:
    r"""Rise to 1 along half a cosine, then fall far below the start along another half, and stay there.

    With the peak at :math:`P = p\, T`, the start :math:`s = 1 / d`, the end :math:`e = s / D` and
    :math:`h(x) = \tfrac{1}{2}(1 + \cos \pi x)`

    .. math:: m(t) = 1 + (s - 1)\, h(t / P) \text{ until } P, \quad e + (1 - e)\, h((t - P) / (T - P)) \text{ after it}

    torch's ``OneCycleLR`` peaks and ends one step earlier.

    Args:
        total: the time :math:`T` of the whole cycle, > 0; after it the multiplier stays at its end value.
        pct_start: fraction :math:`p` of the cycle in which the rate rises, in ``[0, 1)``; 0 starts at the peak.
        div_factor: ratio of the peak to the start, :math:`d \ge 1`.
        final_div_factor: ratio of the start to the end, :math:`D > 0`.

    Example:
        >>> one_cycle(total=10, div_factor=4, final_div_factor=25).values([0, 3, 10, 1_000])
        [0.25, 1.0, 0.01, 0.01]

    References:
        Smith & Topin, Super-Convergence, 2018, section 3; the cosine halves are fast.ai's (Howard & Gugger 2020).
    """
    check_length("total", total)
    check_number("pct_start", pct_start, 0, 1, high_open=True)
    check_number("div_factor", div_factor, 1)
    _check_positive("final_div_factor", final_div_factor, low=_SMALLEST_DIVISOR)
    return Schedule(_one_cycle, (total, pct_start, div_factor, final_div_factor))


def _one_cycle(t: float, total: float, pct_start: float, div_factor: float, final_div_factor: float) -> float:
    return _rise_and_fall(t, total, pct_start, (1 / div_factor, 1.0, 1 / (div_factor * final_div_factor)))


def one_cycle_momentum(total: float, pct_start: float = 0.3, base: float = 0.85, maximum: float = 0.95) -> Schedule:
    """Return the momentum that belongs to :func:`one_cycle`: it falls while the rate rises, and rises while it falls.

    It is a value, not a multiplier: ``maximum`` at both ends, ``base`` where the rate peaks.

    Args:
        total: duration of the whole cycle, > 0.
        pct_start: fraction of the cycle in which the rate rises, in ``[0, 1)``.
        base: the momentum at the peak of the rate, in ``[0, maximum]``.
        maximum: the momentum at both ends, in ``[0, 1)``.

    Example:
        >>> one_cycle_momentum(total=10).values([0, 3, 10, 1_000])
        [0.95, 0.85, 0.95, 0.95]

    References:
        Smith, A Disciplined Approach to Neural Network Hyper-Parameters: Part 1, 2018, section 4.3.
    """
    check_length("total", total)
    check_number("pct_start", pct_start, 0, 1, high_open=True)
    check_number("max_momentum", maximum, 0, 1, high_open=True)
    check_number("base_momentum", base, 0, maximum)
    return Schedule(_one_cycle_momentum, (total, pct_start, base, maximum))


def _one_cycle_momentum(t: float, total: float, pct_start: float, base: float, maximum: float) -> float:
    return _rise_and_fall(t, total, pct_start, (maximum, base, maximum))


def _rise_and_fall(t: float, total: float, pct_start: float, values: tuple[float, float, float]) -> float:
    start, turn, end = values
    turning = pct_start * total
    if t < turning:
        return half_cosine(t / turning, start, turn)
    return half_cosine((t - turning) / (total - turning), turn, end)
