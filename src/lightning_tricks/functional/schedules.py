"""Schedules: functions of time that return a multiplier for the base learning rate.

``t`` is a time in the schedule's own unit, epochs or optimizer steps; the callback defines which.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

from lightning_tricks.core.arguments import check_flag, check_length, check_list, check_number, shown
from lightning_tricks.functional.schedule_cycles import cosine_warm_restarts as cosine_warm_restarts
from lightning_tricks.functional.schedule_cycles import one_cycle as one_cycle
from lightning_tricks.functional.schedule_parts import Schedule as Schedule
from lightning_tricks.functional.schedule_parts import count_lengths, half_cosine
from lightning_tricks.functional.schedule_phases import warmup_stable_decay as warmup_stable_decay


def linear_warmup(length: float, start_factor: float = 0.0) -> Schedule:
    r"""Increase linearly from ``start_factor`` to 1 at ``length``, and stay there.

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
    r"""Decay from 1 to ``end_factor`` along half a cosine, and stay there.

    .. math:: m(t) = f + \tfrac{1}{2}(1 - f)(1 + \cos(\pi t / T))

    Args:
        decay_steps: the time :math:`T` of the whole decay, > 0.
        end_factor: the multiplier :math:`f` from ``decay_steps`` on, in ``[0, 1]``.

    Example:
        >>> cosine_decay(decay_steps=100, end_factor=0.1).values([0, 50, 100, 1_000])
        [1.0, 0.55, 0.1, 0.1]

    References:
        Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, equation 5 without restarts.
    """
    check_length("decay_steps", decay_steps)
    check_number("end_factor", end_factor, 0, 1)
    return Schedule(_cosine_decay, (decay_steps, end_factor))


def _cosine_decay(t: float, decay_steps: float, end_factor: float) -> float:
    return half_cosine(t / decay_steps, 1.0, end_factor)


def exponential_decay(decay_rate: float, decay_steps: float = 1, staircase: bool = False) -> Schedule:
    r"""Multiply by a constant after each interval.

    .. math:: m(t) = r^{t / T}, \text{ or } r^{\lfloor t / T \rfloor} \text{ with staircase}

    Args:
        decay_rate: the multiplier :math:`r` after ``decay_steps``, > 0; typically 0.9 to 0.99 per epoch. Above 1 the
            multiplier grows without bound.
        decay_steps: the time :math:`T` in which the rate falls by ``decay_rate``, > 0.
        staircase: fall in steps at the multiples of ``decay_steps``, constant between them.

    Example:
        >>> exponential_decay(0.5, decay_steps=10).values([0, 5, 10, 20])
        [1.0, 0.7071067811865476, 0.5, 0.25]
        >>> exponential_decay(0.5, decay_steps=10, staircase=True).values([0, 9.9, 10, 20])
        [1.0, 1.0, 0.5, 0.25]

    References:
        TensorFlow, ``ExponentialDecay``; torch's ``ExponentialLR`` is ``decay_steps=1``, its ``StepLR`` the staircase.
    """
    rate = check_number("decay_rate", decay_rate, 0, low_open=True)
    check_length("decay_steps", decay_steps)
    return Schedule(_exponential_decay, (rate, decay_steps, check_flag("staircase", staircase)))


def _exponential_decay(t: float, decay_rate: float, decay_steps: float, staircase: bool) -> float:
    try:
        return math.pow(decay_rate, _elapsed(t, decay_steps, staircase))
    except OverflowError:
        return math.inf


def _elapsed(t: float, decay_steps: float, staircase: bool) -> float:
    whole, at_corner = count_lengths(t, decay_steps)
    return whole if staircase or at_corner else t / decay_steps


def inverse_time_decay(decay_rate: float, decay_steps: float = 1, staircase: bool = False) -> Schedule:
    r"""Divide by a number that grows linearly with time.

    .. math:: m(t) = \frac{1}{1 + r\, t / T}, \text{ or with } \lfloor t / T \rfloor \text{ with staircase}

    Args:
        decay_rate: :math:`r`, >= 0; the multiplier is one half after ``decay_steps / decay_rate``.
        decay_steps: the time :math:`T`, > 0.
        staircase: fall in steps at the multiples of ``decay_steps``, constant between them.

    Example:
        >>> inverse_time_decay(0.5).values([0, 1, 2, 6])
        [1.0, 0.6666666666666666, 0.5, 0.25]

    References:
        Robbins & Monro, A Stochastic Approximation Method, 1951; TensorFlow, ``InverseTimeDecay``; with
        ``decay_steps=1`` the ``decay`` argument of Keras' first optimizers.
    """
    rate = check_number("decay_rate", decay_rate, 0)
    check_length("decay_steps", decay_steps)
    return Schedule(_inverse_time_decay, (rate, decay_steps, check_flag("staircase", staircase)))


def _inverse_time_decay(t: float, decay_rate: float, decay_steps: float, staircase: bool) -> float:
    return 1 / (1 + decay_rate * _elapsed(t, decay_steps, staircase))


def inverse_sqrt_decay(k: float = 1.0) -> Schedule:
    r"""Divide by the square root of the time.

    .. math:: m(t) = k / \sqrt{t + 1}

    Args:
        k: the multiplier at ``t = 0``, > 0.

    Example:
        >>> inverse_sqrt_decay().values([0, 3, 8, 99])
        [1.0, 0.5, 0.3333333333333333, 0.1]

    References:
        Zinkevich, Online Convex Programming and Generalized Infinitesimal Gradient Ascent, 2003, theorem 1, where time
        starts at 1 instead of 0.
    """
    check_number("k", k, 0, low_open=True)
    return Schedule(_inverse_sqrt_decay, (k,))


def _inverse_sqrt_decay(t: float, k: float) -> float:
    return k / math.sqrt(t + 1)


def piecewise_constant(boundaries: Sequence[float], factors: Sequence[float]) -> Schedule:
    r"""Use one multiplier until a boundary and the next one from the boundary on.

    .. math:: m(t) = f_i \text{ where } b_{i-1} \le t < b_i

    The boundary belongs to the new piece, as in torch's ``MultiStepLR``; TensorFlow's belongs to the old one.

    Args:
        boundaries: the times of change, increasing, > 0.
        factors: the multipliers, >= 0, one more than ``boundaries``; each is relative to the base, not to the last
            piece.

    Raises:
        ValueError: a wrong number of factors, or boundaries that do not increase.

    Example:
        >>> piecewise_constant([10, 20], [1.0, 0.1, 0.01]).values([0, 9.9, 10, 20, 1_000])
        [1.0, 1.0, 0.1, 0.01, 0.01]

    References:
        He et al., Deep Residual Learning, 2016, section 3.4: divided by 10 where the error plateaus.
    """
    boundaries, factors = check_list("boundaries", boundaries), check_list("factors", factors)
    if len(factors) != len(boundaries) + 1:
        raise ValueError(
            f"`factors` must have one entry more than `boundaries`, got {len(factors)} factors for {len(boundaries)} "
            f"boundaries: {shown(factors)} for {shown(boundaries)}."
        )
    values = tuple(check_number("factors", factor, 0) for factor in factors)
    return Schedule(_piecewise_constant, (_check_rising(boundaries), values))


def _piecewise_constant(t: float, boundaries: tuple[float, ...], factors: tuple[float, ...]) -> float:
    return factors[bisect_right(boundaries, t)]


def _check_rising(boundaries: Sequence[float]) -> tuple[float, ...]:
    for boundary in boundaries:
        check_length("boundaries", boundary)
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise ValueError(f"`boundaries` must increase, got {shown(list(boundaries))}.")
    return tuple(boundaries)


def polynomial_decay(decay_steps: float, end_factor: float = 0.0, power: float = 1.0, cycle: bool = False) -> Schedule:
    r"""Decay from 1 to ``end_factor`` along a power of the remaining time, and stay there or rise again.

    .. math:: m(t) = f + (1 - f)\, (1 - \min(t, T) / T)^p

    With ``cycle`` the rate rises again just after each multiple of :math:`T`, to ever lower peaks: :math:`T` is
    replaced by :math:`T \lceil t / T \rceil`, and :math:`t` is not clamped.

    Args:
        decay_steps: the time :math:`T` of the whole decay, > 0.
        end_factor: the multiplier :math:`f` at the end, in ``[0, 1]``.
        power: :math:`p` > 0; 1 is linear, 2 falls fast at first, 0.5 falls fast at the end.
        cycle: rise again instead of staying at the end.

    Example:
        >>> polynomial_decay(10, end_factor=0.1).values([0, 5, 10, 15])
        [1.0, 0.55, 0.1, 0.1]
        >>> polynomial_decay(10, cycle=True).values([0, 5, 10, 15, 20])
        [1.0, 0.5, 0.0, 0.25, 0.0]

    References:
        TensorFlow, ``PolynomialDecay``; Chen et al., DeepLab, 2017, section 4.1 ("poly", power 0.9).
    """
    check_length("decay_steps", decay_steps)
    check_number("end_factor", end_factor, 0, 1)
    check_number("power", power, 0, low_open=True)
    return Schedule(_polynomial_decay, (decay_steps, end_factor, power, check_flag("cycle", cycle)))


def _polynomial_decay(t: float, decay_steps: float, end_factor: float, power: float, cycle: bool) -> float:
    if t == 0:
        return 1.0
    span = decay_steps
    if cycle:
        whole, at_end = count_lengths(t, decay_steps)
        if at_end:
            return end_factor
        span *= whole + 1
    return end_factor + (1 - end_factor) * math.pow(max(0, span - t) / span, power)


def join(schedules: Sequence[Callable[[float], float]], boundaries: Sequence[float]) -> Schedule:
    """Follow one schedule after another; the time of each starts at 0 at its boundary.

    Args:
        schedules: two or more, or one without a boundary.
        boundaries: the times at which the next one begins, increasing, > 0, one fewer than ``schedules``.

    Raises:
        ValueError: a wrong number of boundaries, or boundaries that do not increase.

    Example:
        >>> join([linear_warmup(2), cosine_decay(4)], [2]).values([0, 1, 2, 4, 6])
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"`boundaries` must have one entry fewer than `schedules`, got {len(boundaries)} for {len(schedules)} "
            f"schedules."
        )
    return Schedule(_join, (tuple(schedules), _check_rising(boundaries)))


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
