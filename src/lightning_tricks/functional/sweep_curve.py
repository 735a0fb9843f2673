"""Sweep curve: smooth the losses of a range test and find where they fall, turn and diverge, and how noisy they are."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from lightning_tricks.core.arguments import check_number


class PlannedFactors(NamedTuple):
    """What schedules multiply the learning rate by, over the coming training.

    Attributes:
        mean: the mean over its steps, > 0; 0.5 for a linear decay to zero.
        highest: the largest of them, > 0.
    """

    mean: float = 1.0
    highest: float = 1.0


CONSTANT = PlannedFactors()
"""No schedule."""


class Curve(NamedTuple):
    """The informative part of a sweep: raw and smoothed losses, up to the first that is not finite.

    Attributes:
        lrs: the rates, increasing.
        losses: the loss at each rate, measured before the step.
        smoothed: the bias-corrected moving average of the losses.
        smoothing: the weight of the previous losses in that average.
        planned_steps: the optimizer steps of the coming training, if known.
        factors: what the schedules of that training multiply the rate by.
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    smoothing: float
    planned_steps: float | None = None
    factors: PlannedFactors = CONSTANT

    @property
    def begin(self) -> int:
        """The first point that may be suggested; before it the average contains too few losses."""
        return max(1, len(self.lrs) // 10)

    @property
    def start(self) -> list[float]:
        """The losses at rates too small to matter: the first half of those before the lowest average."""
        lowest = min(range(self.begin, len(self.smoothed)), key=self.smoothed.__getitem__)
        return self.losses[: max(3, lowest // 2)]

    @property
    def bounded(self) -> list[float]:
        """The losses, capped at a hundred times the initial level; larger values carry no information."""
        level = fmean(self.start)
        highest = level + 99 * max(abs(level), level - min(self.losses))
        return [min(loss, highest) for loss in self.losses]

    @property
    def margin(self) -> float:
        r"""How far noise alone moves a smoothed loss from the initial level, in 99 of 100 sweeps.

        .. math:: \max(3.5, \tfrac{1}{2} + \sqrt{2 \ln n})\, \sigma \sqrt{1/m + (1 - \beta) / (1 + \beta)}

        where :math:`\sigma` is the standard deviation of single losses, :math:`n` their number and :math:`m` the number
        at the start. :math:`\sigma` is estimated from differences of neighboring losses, which a trend hardly affects:
        their median in the first half or their mean square at the start, whichever is larger, because some losses have
        long tails.
        """
        start = self.start
        steps = [abs(b - a) for a, b in pairwise(self.losses[: max(2 * len(start), 2)])]
        first = steps[: len(start) - 1]
        spread = max(median(steps) / 0.954, math.sqrt(fmean([step**2 for step in first]) / 2))
        single = (1 - self.smoothing) / (1 + self.smoothing)
        return max(3.5, 0.5 + math.sqrt(2 * math.log(len(self.losses)))) * spread * math.sqrt(1 / len(start) + single)

    @property
    def edge(self) -> int | None:
        """The last point before the loss ends far above its initial level, if it does."""
        level = fmean(self.start)
        if self.smoothed[-1] - level <= max(self.margin, 1e-3 * abs(level)):
            return None
        place = next((i for i in reversed(range(len(self.smoothed))) if self.smoothed[i] <= level), 0)
        return place if place > len(self.smoothed) // 4 else None

    @property
    def lowest(self) -> int:
        """The point of the lowest smoothed loss; if the loss finally rises, within the two decades before that rise."""
        return self.lowest_of(self.smoothed)

    @property
    def still_falls(self) -> bool:
        """Whether the smoothed loss is lowest at the highest rate, so that the best rate may lie above it."""
        return self.lowest == len(self.lrs) - 1

    def lowest_of(self, averages: Sequence[float]) -> int:
        """Return that point for other averages of the same losses."""
        edge = self.edge
        inside = range(self.begin, len(averages))
        if edge is not None:
            inside = range(max(self.begin, bisect_left(self.lrs, self.lrs[edge] / 100)), edge + 1)
        return min(inside, key=averages.__getitem__)


def smooth(losses: Sequence[float], smoothing: float = 0.9) -> list[float]:
    r"""Return the exponential moving average, corrected for its initialization at zero.

    .. math:: s_i = v_i / (1 - \beta^i), \quad v_i = \beta v_{i-1} + (1 - \beta) L_i, \quad i = 1, 2, \ldots

    Without the correction the first averages are biased towards zero (Kingma & Ba, Adam, 2015, §3). After a loss that
    is not finite, every average is NaN.

    Args:
        losses: one per step.
        smoothing: :math:`\beta` in ``[0, 1)``; 0 means no smoothing.

    Raises:
        ValueError: ``smoothing`` is out of range.

    Example:
        >>> smooth([1.0, 1.0, 1.0], smoothing=0.75)
        [1.0, 1.0, 1.0]
    """
    check_number("smoothing", smoothing, 0, 1, high_open=True)
    average, weight, smoothed = 0.0, 0.0, []
    for loss in losses:
        average = smoothing * average + (1 - smoothing) * loss
        weight = smoothing * weight + (1 - smoothing)
        smoothed.append(average / weight if math.isfinite(average) else math.nan)
    return smoothed


def smooth_evenly(losses: Sequence[float], width: float) -> list[float]:
    r"""Return the Gaussian-weighted average around each loss.

    .. math:: s_i = \sum_j w_{ij} L_j / \sum_j w_{ij}, \quad w_{ij} = e^{-(i - j)^2 / 2 h^2}

    The minimum of an average of past losses alone (:func:`smooth`) comes later than that of the losses.

    Args:
        losses: finite.
        width: :math:`h`, in steps, > 0.

    Example:
        >>> smooth_evenly([2.0, 2.0, 2.0], width=1.0)
        [2.0, 2.0, 2.0]
    """
    count = len(losses)
    bell = [math.exp(-0.5 * (distance / width) ** 2) for distance in range(count)]
    averages = []
    for place in range(count):
        weights = [bell[abs(place - other)] for other in range(count)]
        averages.append(sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights))
    return averages


def find_divergence(smoothed: Sequence[float], stop_factor: float = 4.0, skip: int = 0) -> int | None:
    """Return where a sweep diverges: its average is not finite, or exceeds ``stop_factor`` × the best so far.

    If the best is zero or negative, no multiple of it is larger. The average then diverges when it exceeds the best by
    ``stop_factor`` × the fall of the loss so far.

    Args:
        smoothed: the averages.
        stop_factor: > 1; ``inf`` looks only for losses that are not finite. Typically 4 (fastai), 5 (ignite).
        skip: number of first averages, of a few losses each, that are ignored.

    Example:
        >>> find_divergence([2.0, 1.0, 3.0, 4.5])
        3
    """
    best = math.inf
    for place, value in enumerate(smoothed):
        if not math.isfinite(value):
            return place
        if place < skip:
            continue
        bound = best * stop_factor if best > 0 else best + stop_factor * max(smoothed[skip] - best, abs(best))
        if value > bound:
            return place
        best = min(best, value)
    return None


def read_curve(
    lrs: Sequence[float],
    losses: Sequence[float],
    smoothing: float = 0.9,
    planned_steps: float | None = None,
    factors: PlannedFactors = CONSTANT,
) -> Curve:
    """Return the part of a sweep before its first non-finite loss, smoothed.

    Raises:
        ValueError: the sequences differ in length.
    """
    if len(lrs) != len(losses):
        raise ValueError(f"`lrs` and `losses` must have the same length, got {len(lrs)} and {len(losses)}.")
    end = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    finite = list(losses[:end])
    return Curve(list(lrs[:end]), finite, smooth(finite, smoothing), smoothing, planned_steps, factors)


def begins_too_high(lrs: Sequence[float], losses: Sequence[float], diverged: bool, smoothing: float = 0.9) -> bool:
    """Return whether the loss is clearly lower within the first decade of a sweep than ever after.

    The best rate may then be lower than all that were tried.

    Args:
        lrs: the rates, increasing.
        losses: the loss at each rate.
        diverged: whether the sweep ended before its last rate, or at a loss that is not finite.
        smoothing: weight of the previous losses in the moving average.

    Example:
        >>> begins_too_high([0.1, 0.2, 0.4, 0.8], [1.0, 1.5, 30.0, 900.0], diverged=True)
        True
    """
    curve = read_curve(lrs, losses, smoothing)
    later = [loss for lr, loss in zip(curve.lrs, curve.smoothed, strict=True) if lr >= 10 * lrs[0]]
    if len(curve.lrs) < 2 or not later:
        return diverged
    lowest = min(curve.smoothed)
    return min(later) > lowest + max(curve.margin, 1e-3 * abs(lowest))


def explain_break(lrs: Sequence[float], losses: Sequence[float], smoothing: float = 0.9) -> str:
    """Return a clause about a sweep that ended at a loss that is not finite without having risen by half; else nothing.

    Example:
        >>> explain_break([1e-7, 2e-7, 4e-7], [1.0, 1.1, 0.9])
        '; the loss after 4e-07 is not finite although it had not risen: look for NaN or infinity in the data'
        >>> explain_break([1e-7, 2e-7, 4e-7], [1.0, 3.0, 90.0])
        ''
    """
    smoothed = smooth([loss for loss in losses if math.isfinite(loss)], smoothing)
    if not smoothed or smoothed[-1] > smoothed[0] + abs(smoothed[0]) / 2:
        return ""
    at = f"{lrs[-1]:.2g}"
    return f"; the loss after {at} is not finite although it had not risen: look for NaN or infinity in the data"


def find_fault(curve: Curve) -> str | None:
    """Return why a curve does not show a good rate, or ``None`` if it does.

    It does if the smoothed loss falls below its initial level by more than :attr:`Curve.margin`, or if it falls at all
    and finally exceeds that level by as much: the rate at which training diverges is as good a reference as the best
    rate.
    """
    if len(curve.lrs) < 5:
        return f"only {len(curve.lrs)} finite losses: lower `min_lr`"
    level, lowest = fmean(curve.start), curve.smoothed[curve.lowest]
    size = max(map(abs, curve.start))
    if level - lowest <= 1e-3 * size:
        flat = max(curve.smoothed) - min(curve.smoothed) <= 1e-3 * size
        return "the loss is flat: no rate in the range changes it" if flat else "the loss never falls: lower `min_lr`"
    if level - lowest <= curve.margin and curve.edge is None:
        return "the fall of the loss is within its noise: use a larger batch or more steps"
    return None
