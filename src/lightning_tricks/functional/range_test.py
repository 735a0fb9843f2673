r"""Range test: the rates of a sweep, the smoothing of its losses, when it has diverged, and what rate it suggests.

A sweep takes one optimizer step at each of many rising learning rates and keeps the loss of each (Smith, Cyclical
Learning Rates, 2017, §3.3). A suggestion is a number with a reason, or ``None`` with the reason why there is none.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Literal, NamedTuple

from lightning_tricks.functional.arguments import check_choice, check_number

Method = Literal["auto", "valley", "steep", "minimum", "slide"]
Mode = Literal["exponential", "linear"]


class Suggestion(NamedTuple):
    """A learning rate, or none, and why."""

    lr: float | None
    reason: str


class Curve(NamedTuple):
    """A sweep as far as it says something: raw and smoothed losses, up to the first that is not finite.

    Attributes:
        lrs: the rates, rising.
        losses: the loss of the step at each rate, taken before the step.
        smoothed: the bias-corrected average of the losses.
        smoothing: the weight of the past in that average.
        planned_steps: the optimizer steps of the training to come, if known.
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    smoothing: float
    planned_steps: float | None = None

    @property
    def begin(self) -> int:
        """The first point that may be suggested from; before it the average holds too few losses."""
        return max(1, len(self.lrs) // 10)

    @property
    def start(self) -> list[float]:
        """The losses before any rate is large enough to matter: half of those until the lowest average."""
        lowest = min(range(self.begin, len(self.smoothed)), key=self.smoothed.__getitem__)
        return self.losses[: max(3, lowest // 2)]

    @property
    def margin(self) -> float:
        r"""How far noise alone takes a smoothed loss from the level of the start, in all but one sweep of a hundred.

        .. math:: \max(3.5, \tfrac{1}{2} + \sqrt{2 \ln n})\, \sigma \sqrt{1/m + (1 - \beta) / (1 + \beta)}

        with :math:`\sigma` the spread of single losses, :math:`n` of them in all and :math:`m` in the start.
        :math:`\sigma` is taken from the distances of neighbouring losses, which a trend hardly moves: their median in
        the first half, or their mean square at the start, whichever says more, for the tails of some losses are long.
        """
        start = self.start
        steps = [abs(b - a) for a, b in pairwise(self.losses[: max(2 * len(start), 2)])]
        first = steps[: len(start) - 1]
        spread = max(median(steps) / 0.954, math.sqrt(fmean([step**2 for step in first]) / 2))
        single = (1 - self.smoothing) / (1 + self.smoothing)
        return max(3.5, 0.5 + math.sqrt(2 * math.log(len(self.losses)))) * spread * math.sqrt(1 / len(start) + single)

    @property
    def edge(self) -> int | None:
        """The last place before the loss ends far above where it started, if it does."""
        level = fmean(self.start)
        if self.smoothed[-1] - level <= max(self.margin, 1e-3 * abs(level)):
            return None
        place = next((i for i in reversed(range(len(self.smoothed))) if self.smoothed[i] <= level), 0)
        return place if place > len(self.smoothed) // 4 else None

    @property
    def lowest(self) -> int:
        """The place of the lowest smoothed loss; where the loss ends by rising, in the two decades before that."""
        edge = self.edge
        inside = range(self.begin, len(self.smoothed))
        if edge is not None:
            inside = range(max(self.begin, bisect_left(self.lrs, self.lrs[edge] / 100)), edge + 1)
        return min(inside, key=self.smoothed.__getitem__)


def lr_grid(min_lr: float, max_lr: float, num_steps: int, mode: Mode = "exponential") -> list[float]:
    r"""Return the rates of a sweep, both ends included.

    .. math:: \eta_i = \eta_\text{min} (\eta_\text{max} / \eta_\text{min})^{i / (n - 1)}

    or, linear, :math:`\eta_i = \eta_\text{min} + (\eta_\text{max} - \eta_\text{min})\, i / (n - 1)`.

    Args:
        min_lr: the first rate, > 0.
        max_lr: the last rate, above ``min_lr``.
        num_steps: how many, >= 2.
        mode: equal ratios or equal distances.

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


def smooth(losses: Sequence[float], smoothing: float = 0.9) -> list[float]:
    r"""Return the exponential moving average, corrected for its start at zero.

    .. math:: s_i = v_i / (1 - \beta^i), \quad v_i = \beta v_{i-1} + (1 - \beta) L_i, \quad i = 1, 2, \ldots

    Without the correction the first averages are dragged to zero (Kingma & Ba, Adam, 2015, §3). From a loss that is
    not finite on, every average is NaN.

    Args:
        losses: one a step.
        smoothing: :math:`\beta` in ``[0, 1)``; 0 leaves the losses as they are.

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


def find_divergence(smoothed: Sequence[float], stop_factor: float = 4.0, skip: int = 0) -> int | None:
    """Return the place where a sweep diverges: its average is not finite, or above ``stop_factor`` × the best so far.

    A best at or below zero has no multiple above it; then the average diverges when it lies above the best by
    ``stop_factor`` × what the loss had fallen.

    Args:
        smoothed: the averages.
        stop_factor: > 1; ``inf`` looks only for losses that are not finite. Customary 4 (fastai), 5 (ignite).
        skip: the first averages, of a few losses each, that are neither best nor divergence.

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
    lrs: Sequence[float], losses: Sequence[float], smoothing: float = 0.9, planned_steps: float | None = None
) -> Curve:
    """Return the part of a sweep before its first loss that is not finite, smoothed.

    Raises:
        ValueError: the sequences differ in length.
    """
    if len(lrs) != len(losses):
        raise ValueError(f"`lrs` and `losses` must have the same length, got {len(lrs)} and {len(losses)}.")
    end = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    return Curve(list(lrs[:end]), list(losses[:end]), smooth(losses[:end], smoothing), smoothing, planned_steps)


def find_fault(curve: Curve) -> str | None:
    """Return why a curve says nothing about a good rate, or ``None`` if it says something.

    It does if the smoothed loss falls below the level at which it starts by more than :attr:`Curve.margin`; or if it
    falls at all, and ends as far above: where training breaks is as good an anchor as where it is best.
    """
    if len(curve.lrs) < 5:
        return f"only {len(curve.lrs)} finite losses: lower `min_lr`"
    level, lowest = fmean(curve.start), curve.smoothed[curve.lowest]
    size = max(map(abs, curve.start))
    if level - lowest <= 1e-3 * size:
        flat = max(curve.smoothed) - min(curve.smoothed) <= 1e-3 * size
        return "the loss is flat: no rate in the range changes it" if flat else "the loss never falls: lower `min_lr`"
    if level - lowest <= curve.margin and curve.edge is None:
        return "the loss falls no further than its noise does: use a larger batch, or more steps"
    return None


def minimum(curve: Curve) -> Suggestion:
    """Suggest a tenth of the rate at which the smoothed loss is lowest (fastai's ``minimum``).

    Flat or noise: none. Falling throughout: a tenth of the last rate. Rising throughout: none. Ended by NaN: as if it
    had ended before.
    """
    return _unless_faulty(curve, lambda: _share_of_minimum(curve, "a tenth", 10))


def _share_of_minimum(curve: Curve, name: str, divisor: float) -> Suggestion:
    lowest = curve.lowest
    reason = f"{name} of {curve.lrs[lowest]:.2g}, where the smoothed loss is lowest"
    if lowest == len(curve.lrs) - 1:
        reason += "; it still falls there: raise `max_lr`"
    return Suggestion(curve.lrs[lowest] / divisor, reason)


def steep(curve: Curve) -> Suggestion:
    """Suggest the rate where the smoothed loss falls fastest per ln(rate), before its minimum.

    Per rate instead of per ln(rate) noise at the smallest rates would win. Flat or noise: none. Falling throughout:
    its steepest point. Ended by NaN: as if it had ended before.
    """

    def find() -> Suggestion:
        logs = [math.log(lr) for lr in curve.lrs]
        last = max(curve.lowest, curve.begin + 2)
        inner = range(max(curve.begin, 1), min(last, len(logs) - 1))
        place = min(inner, key=lambda i: (curve.smoothed[i + 1] - curve.smoothed[i - 1]) / (logs[i + 1] - logs[i - 1]))
        return Suggestion(curve.lrs[place], "where the smoothed loss falls fastest per ln(rate), before its minimum")

    return _unless_faulty(curve, find)


def valley(curve: Curve) -> Suggestion:
    """Suggest the middle of the longest fall: half-way along the longest falling subsequence (after fastai's default).

    fastai counts its beginning back from its end as if it had no gaps; here it begins where it begins. Flat or noise:
    none. Falling throughout: the middle of the range. Ended by NaN: as if it had ended before.
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
        return Suggestion(curve.lrs[curve.begin + (first + end) // 2], "half-way along the longest fall of the loss")

    return _unless_faulty(curve, find)


def slide(curve: Curve) -> Suggestion:
    """Suggest the left end of a window that slides down from the minimum until both its ends are equally steep.

    After fastai's ``slide``; the slopes are taken of the loss as a share of its fall, so that its scale does not
    matter. Flat or noise: none. Falling in a straight line: a window's width before the end. Ended by NaN: as if it
    had ended before.
    """

    def find() -> Suggestion:
        count = len(curve.smoothed)
        drop = max(curve.smoothed[: curve.lowest + 1]) - curve.smoothed[curve.lowest]
        slopes = [
            (curve.smoothed[min(i + 1, count - 1)] - curve.smoothed[max(i - 1, 0)])
            / (drop * (min(i + 1, count - 1) - max(i - 1, 0)))
            for i in range(count)
        ]
        width = max(1, round(0.15 * count))
        right = curve.lowest
        while right - width > curve.begin and abs(slopes[right] - slopes[right - width]) > 0.005:
            right -= 1
        return Suggestion(curve.lrs[max(right - width, 0)], "where the loss, seen from the right, is evenly steep")

    return _unless_faulty(curve, find)


def auto(curve: Curve) -> Suggestion:
    """Suggest by the rule that costs least on the tasks of the benchmark: :func:`minimum`, and for few steps more.

    Rules anchored on the minimum know where training breaks, which is what a single noisy sweep shows best; a slope
    is mostly noise. A training of no more than 30 steps is over before a rate near the edge does harm, and a lower
    one gets nowhere: it is given a fifth. Flat, noise, monotone and NaN: as :func:`minimum`.
    """
    if curve.planned_steps is not None and curve.planned_steps <= 30:
        return _unless_faulty(curve, lambda: _share_of_minimum(curve, "for so few steps a fifth", 5))
    return minimum(curve)


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
) -> Suggestion:
    """Return the rate that a sweep suggests, or ``None``, and the reason.

    Args:
        lrs: the rates, rising.
        losses: the loss of the step at each, raw.
        method: the rule.
        smoothing: weight of the past in the average, in ``[0, 1)``.
        planned_steps: optimizer steps of the training to come, if known.

    Raises:
        ValueError: an unknown method, or sequences of different lengths.

    Example:
        >>> lrs = lr_grid(1e-5, 1.0, 51)
        >>> losses = [1 + min(0.0, -3 - math.log10(lr)) + 20 * max(0.0, lr - 0.1) for lr in lrs]
        >>> suggest(lrs, losses, smoothing=0.0)
        Suggestion(lr=0.01, reason='a tenth of 0.1, where the smoothed loss is lowest')
        >>> suggest(lrs, [1.0] * 51).lr is None
        True
    """
    check_choice("method", method, METHODS)
    return METHODS[method](read_curve(lrs, losses, smoothing, planned_steps))


def _unless_faulty(curve: Curve, find: Callable[[], Suggestion]) -> Suggestion:
    fault = find_fault(curve)
    return find() if fault is None else Suggestion(None, fault)
