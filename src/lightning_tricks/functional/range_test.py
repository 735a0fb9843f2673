r"""Range test: the rates of a sweep, and the rate that its losses suggest.

A sweep takes one optimizer step at each of many increasing learning rates and records each loss (Smith, Cyclical
Learning Rates, 2017, §3.3). A suggestion is a number with a reason, or ``None`` with the reason why there is none.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from lightning_tricks.core.arguments import check_choice, check_number
from lightning_tricks.functional.sweep_curve import (
    CONSTANT,
    Curve,
    PlannedFactors,
    find_fault,
    read_curve,
    smooth_evenly,
)

Method = Literal["auto", "valley", "steep", "minimum", "slide"]
Mode = Literal["exponential", "linear"]

_WIDTHS = (0.07, 0.14, 0.28)  # smoothing widths, in decades of the rate
_USUAL = 8  # decades, as which a linear sweep counts
_UNKNOWN = 100  # optimizer steps assumed if the length is unknown


class Suggestion(NamedTuple):
    """A learning rate or ``None``, and the reason."""

    lr: float | None
    reason: str


def lr_grid(min_lr: float, max_lr: float, num_steps: int, mode: Mode = "exponential") -> list[float]:
    r"""Return the learning rates of a sweep, including both ends.

    .. math:: \eta_i = \eta_\text{min} (\eta_\text{max} / \eta_\text{min})^{i / (n - 1)}

    or, for ``"linear"``, :math:`\eta_i = \eta_\text{min} + (\eta_\text{max} - \eta_\text{min})\, i / (n - 1)`.

    Args:
        min_lr: the first rate, > 0.
        max_lr: the last rate, above ``min_lr``.
        num_steps: number of rates, >= 2.
        mode: ``"exponential"`` for equal ratios, ``"linear"`` for equal differences.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> lr_grid(0.01, 1.0, 3)
        [0.01, 0.1, 1.0]
        >>> lr_grid(0.25, 1.0, 4, mode="linear")
        [0.25, 0.5, 0.75, 1.0]
    """
    check_number("min_lr", min_lr, 0, low_open=True)
    check_number("max_lr", max_lr, 0, low_open=True)
    check_number("num_steps", num_steps, 2)
    check_choice("mode", mode, ("exponential", "linear"))
    if min_lr >= max_lr:
        raise ValueError(f"`min_lr` must be below `max_lr`, got {min_lr:g} and {max_lr:g}.")
    shares = [i / (num_steps - 1) for i in range(1, num_steps - 1)]
    if mode == "exponential":
        inner = [math.exp(math.log(min_lr) + share * math.log(max_lr / min_lr)) for share in shares]
        inner = [float(f"{lr:.15g}") for lr in inner]  # 0.1, not 0.10000000000000002
    else:
        inner = [min_lr + share * (max_lr - min_lr) for share in shares]
    return [float(min_lr), *inner, float(max_lr)]


def extend_down(grid: Sequence[float], decades: int = 3) -> list[float]:
    """Return the rates of a sweep that begins a few decades lower, with the same ratio between neighbors.

    Args:
        grid: the rates of an exponential sweep.
        decades: how many.

    Example:
        >>> extend_down([0.01, 0.1, 1.0], decades=2)
        [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    each = (len(grid) - 1) / math.log10(grid[-1] / grid[0])
    low = float(f"{grid[0] / 10**decades:.15g}")
    return lr_grid(low, grid[-1], len(grid) + round(decades * each))


def minimum(curve: Curve) -> Suggestion:
    """Suggest a tenth of the rate at which the smoothed loss is lowest (fastai's ``minimum``).

    No suggestion if the loss is flat, only noise, or rises throughout. If it falls throughout, a tenth of the last
    rate. A sweep that ends in NaN counts up to there.
    """
    return _unless_faulty(curve, lambda: _share_of_minimum(curve))


def _share_of_minimum(curve: Curve) -> Suggestion:
    lowest = curve.lowest
    reason = f"a tenth of {curve.lrs[lowest]:.2g}, where the smoothed loss is lowest"
    return Suggestion(curve.lrs[lowest] / 10, reason + _hint(curve))


def _hint(curve: Curve) -> str:
    return "; the loss is still falling at the highest rate tried: raise `max_lr`" if curve.still_falls else ""


def steep(curve: Curve) -> Suggestion:
    """Suggest the rate where the smoothed loss falls fastest per ln(rate), before its minimum.

    Measured per rate instead of per ln(rate), noise at the smallest rates would dominate. No suggestion if the loss is
    flat or only noise. If it falls throughout, the steepest point. A sweep that ends in NaN counts up to there.
    """

    def find() -> Suggestion:
        logs = [math.log(lr) for lr in curve.lrs]
        last = max(curve.lowest, curve.begin + 2)
        inner = range(max(curve.begin, 1), min(last, len(logs) - 1))
        place = min(inner, key=lambda i: (curve.smoothed[i + 1] - curve.smoothed[i - 1]) / (logs[i + 1] - logs[i - 1]))
        return Suggestion(curve.lrs[place], "where the smoothed loss falls fastest per ln(rate), before its minimum")

    return _unless_faulty(curve, find)


def valley(curve: Curve) -> Suggestion:
    """Suggest the middle of the longest fall: halfway along the longest falling subsequence (after fastai's default).

    fastai computes the start of the subsequence from its end and length, as if it had no gaps; here the actual start is
    used. No suggestion if the loss is flat or only noise. If it falls throughout, the middle of the range. A sweep that
    ends in NaN counts up to there.
    """

    def find() -> Suggestion:
        values = curve.smoothed[curve.begin :]
        lengths, before = [1] * len(values), [-1] * len(values)
        for i, value in enumerate(values):
            for j in range(i):
                if values[j] > value and lengths[j] + 1 > lengths[i]:
                    lengths[i], before[i] = lengths[j] + 1, j
        end = first = max(range(len(values)), key=lengths.__getitem__)
        while before[first] >= 0:
            first = before[first]
        return Suggestion(curve.lrs[curve.begin + (first + end) // 2], "halfway along the longest fall of the loss")

    return _unless_faulty(curve, find)


def slide(curve: Curve) -> Suggestion:
    """Suggest the left end of a window that slides down from the minimum until both its ends are equally steep.

    After fastai's ``slide``. Slopes are measured on the loss divided by its total fall, so its scale does not matter.
    No suggestion if the loss is flat or only noise. If it falls in a straight line, one window width before the end. A
    sweep that ends in NaN counts up to there.
    """

    def find() -> Suggestion:
        count = len(curve.smoothed)
        drop = max(curve.smoothed[: curve.lowest + 1]) - curve.smoothed[curve.lowest]
        if drop <= 0:
            return Suggestion(None, "the loss never falls before its minimum: lower `min_lr`")
        slopes = [
            (curve.smoothed[min(i + 1, count - 1)] - curve.smoothed[max(i - 1, 0)])
            / (drop * (min(i + 1, count - 1) - max(i - 1, 0)))
            for i in range(count)
        ]
        width = max(1, round(0.15 * count))
        right = curve.lowest
        while right - width > curve.begin and abs(slopes[right] - slopes[right - width]) > 0.005:
            right -= 1
        return Suggestion(curve.lrs[max(right - width, 0)], "where the slope of the loss is even")

    return _unless_faulty(curve, find)


def steps_divisor(planned_steps: float | None, steps: float) -> float:
    r"""Return the divisor that turns the best rate of a short training into that of a longer one.

    .. math:: \max(1, \sqrt{T / \tau})

    The best constant rate is :math:`c / \sqrt{T}`, unless training diverges at a smaller one: the noise that the rate
    lets in accumulates over the training (Ghadimi & Lan 2013, corollary 2.2).

    Args:
        planned_steps: :math:`T`, optimizer steps of the longer training; ``None`` (unknown) counts as 100.
        steps: :math:`\tau`, optimizer steps of the short training.

    References:
        Ghadimi & Lan, Stochastic first- and zeroth-order methods for nonconvex stochastic programming, 2013.

    Example:
        >>> [steps_divisor(planned, steps=4) for planned in (1, 25, 400, 10_000, None)]
        [1.0, 2.5, 10.0, 50.0, 5.0]
    """
    return max(1.0, math.sqrt((planned_steps or _UNKNOWN) / steps))


def auto(curve: Curve) -> Suggestion:
    r"""Suggest the best rate for the planned length, from the best rate for a training as short as the sweep.

    At the point where its loss is lowest, the sweep has progressed as far as :math:`\tau` steps at that rate would.
    That rate is the best for such a short training; the best constant rate for :math:`T` steps is smaller
    (:func:`steps_divisor`):

    .. math:: \eta = \eta_\text{lowest} \sqrt{\tau / T}, \quad \tau = \sum_{\eta_i \le \eta_\text{lowest}}
        \eta_i / \eta_\text{lowest}

    A hundred steps over eight decades give :math:`\tau = 5.9`, and so a quarter of the rate for a training of a hundred
    steps. If schedules multiply the rate by :math:`\bar m` on average, the suggestion is the rate that they multiply,
    :math:`\eta / \bar m`: the rates of the training then have the same sum as those of the constant rate. A schedule
    that decays linearly to zero doubles it. The rate of no step exceeds :math:`\eta_\text{lowest}`.

    No constant is fitted. Where a noisy loss is lowest depends on the smoothing, so :math:`\eta_\text{lowest}` and
    :math:`\tau` are means over three smoothing widths, which are the same part of a decade in every exponential sweep.
    Flat, noisy and monotone losses and NaN are treated as in :func:`minimum`.
    """

    def find() -> Suggestion:
        averages = [smooth_evenly(curve.bounded, width * _steps_per_decade(curve.lrs)) for width in _WIDTHS]
        places = [curve.lowest_of(each) for each in averages]
        lowest = math.exp(fmean([math.log(curve.lrs[place]) for place in places]))
        swept = fmean([sum(curve.lrs[: place + 1]) / curve.lrs[place] for place in places])
        divisor = steps_divisor(curve.planned_steps, swept)
        found = min(lowest / divisor / curve.factors.mean, lowest / curve.factors.highest)
        reason = f"the loss is lowest near {lowest:.2g}, and {_explain(curve, divisor)}"
        return Suggestion(found, reason + _hint(curve))

    return _unless_faulty(curve, find)


def _steps_per_decade(lrs: Sequence[float]) -> float:
    first, last = lrs[1] / lrs[0], lrs[-1] / lrs[-2]
    return 1 / math.log10(last) if math.isclose(first, last, rel_tol=1e-3) else len(lrs) / _USUAL


def _explain(curve: Curve, divisor: float) -> str:
    length = f"{curve.planned_steps:,g} steps" if curve.planned_steps else f"unknown length ({_UNKNOWN} steps assumed)"
    rate = "that rate suits" if divisor == 1 else f"a constant rate {divisor:.2g} times smaller suits"
    peak = f"; the schedule multiplies the rate by {curve.factors.mean:.2g} on average, so its peak is higher"
    return f"{rate} a training of {length}{peak if curve.factors.mean < 1 else ''}"


METHODS: dict[str, Callable[[Curve], Suggestion]] = {
    "auto": auto,
    "valley": valley,
    "steep": steep,
    "minimum": minimum,
    "slide": slide,
}


def suggest(
    lrs: Sequence[float],
    losses: Sequence[float],
    method: Method = "auto",
    smoothing: float = 0.9,
    planned_steps: float | None = None,
    factors: PlannedFactors = CONSTANT,
) -> Suggestion:
    """Return the rate that a sweep suggests, or ``None``, and the reason.

    Args:
        lrs: the rates, increasing.
        losses: the unsmoothed loss of the step at each rate.
        method: the rule that chooses the rate.
        smoothing: weight of the previous losses in the moving average, in ``[0, 1)``.
        planned_steps: optimizer steps of the coming training, if known.
        factors: what the schedules of that training multiply the rate by; only ``"auto"`` uses it.

    Raises:
        ValueError: an unknown method, or sequences of different lengths.

    Example:
        >>> lrs = lr_grid(1e-5, 1.0, 51)
        >>> losses = [1 + min(0.0, -3 - math.log10(lr)) + 20 * max(0.0, lr - 0.1) for lr in lrs]
        >>> suggest(lrs, losses, "minimum", smoothing=0.0)
        Suggestion(lr=0.01, reason='a tenth of 0.1, where the smoothed loss is lowest')
        >>> suggest(lrs, [1.0] * 51).lr is None
        True
    """
    check_choice("method", method, METHODS)
    return METHODS[method](read_curve(lrs, losses, smoothing, planned_steps, factors))


def _unless_faulty(curve: Curve, find: Callable[[], Suggestion]) -> Suggestion:
    fault = find_fault(curve)
    return find() if fault is None else Suggestion(None, fault)
