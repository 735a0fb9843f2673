"""LR trials: choose a few rates for short trainings, and evaluate their losses."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from lightning_tricks.functional.range_test import steps_divisor

_MOST = 7
_QUARTER, _HALF = 0.25, 0.5  # of a decade


def trial_rates(lr: float, steps: int, budget: int, planned_steps: float | None = None) -> list[float]:
    r"""Return the rates to try, increasing, around the suggestion for a training as short as a trial.

    The best rate of a short training is higher than that of a long one, so the middle is :math:`\eta \sqrt{T / k}`,
    with :math:`T` planned steps and :math:`k` steps per trial
    (:func:`~lightning_tricks.functional.range_test.steps_divisor`). The rates are a quarter of a decade apart, or half
    a decade if there are only three.

    Args:
        lr: the suggestion for the coming training.
        steps: steps per trial.
        budget: steps of all trials together, at least three times ``steps``.
        planned_steps: optimizer steps of the coming training, if known.

    Returns:
        3, 5 or 7 rates.

    Example:
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=50, budget=150, planned_steps=50)]
        [0.0032, 0.01, 0.0316]
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=25, budget=150, planned_steps=100)]
        [0.0063, 0.0112, 0.02, 0.0356, 0.0632]
    """
    count = min(_MOST, budget // steps)
    count -= 1 - count % 2
    spacing = _HALF if count == 3 else _QUARTER
    middle = lr * steps_divisor(planned_steps, steps)
    return [middle * 10 ** (spacing * place) for place in range(-(count // 2), count // 2 + 1)]


def best_trial(trials: Sequence[tuple[float, float]]) -> float | None:
    """Return the rate with the lowest loss, weighted with its neighbors' losses; ``None`` if no loss is finite.

    A single loss depends on its batches, and a rate next to one that trains badly is not a good rate. Each loss
    therefore counts three quarters, and each neighbor's loss one eighth. The lowest rate uses its own loss in place of
    the missing neighbor. The highest rate is left out unless there are only three, because training may diverge just
    above it.

    Args:
        trials: the rates, increasing, and the final loss of each.

    Example:
        >>> best_trial([(0.01, 1.5), (0.03, 1.2), (0.1, 1.3), (0.3, 9.0)])
        0.03
        >>> best_trial([(0.01, 1.3), (0.03, 1.2), (0.1, 1.1), (0.3, math.inf)])
        0.03
    """
    losses = [loss if math.isfinite(loss) else math.inf for _, loss in trials]
    if min(losses) == math.inf:
        return None
    beyond = losses[-1] if len(losses) <= 3 else math.inf
    padded = [losses[0], *losses, beyond]
    around = [(below + 6 * loss + above) / 8 for below, loss, above in zip(padded, losses, padded[2:], strict=False)]
    return trials[min(range(len(trials)), key=lambda place: (around[place], losses[place]))][0]


def damp_move(lr: float, moved: float, steps: int, planned_steps: float | None = None) -> float:
    r"""Return the suggestion, moved in proportion to how representative the trials are.

    .. math:: \eta\, m^{\sqrt{k / T}}

    A trial as long as the whole training counts in full; a trial of a hundredth of its :math:`T` steps moves the
    suggestion by a tenth of the way (in logarithms), because the best rate after :math:`k` steps need not be the best
    at the end.

    Args:
        lr: the suggestion :math:`\eta` before the trials.
        moved: :math:`m`, the ratio of the best trial rate to the middle one.
        steps: :math:`k`, the steps of one trial.
        planned_steps: :math:`T`, the planned optimizer steps; 100 if unknown.

    Example:
        >>> damp_move(0.01, moved=10.0, steps=25, planned_steps=25)
        0.1
        >>> round(damp_move(0.01, moved=10.0, steps=25, planned_steps=100), 4)
        0.0316
    """
    return float(lr * moved ** math.sqrt(min(1.0, steps / (planned_steps or 100))))


def late_loss(losses: Sequence[float]) -> float:
    """Return the mean of the second half of a list of losses; infinity if it is empty or contains NaN or infinity.

    Example:
        >>> late_loss([3.0, 2.0, 1.0, 0.5, 0.0]), late_loss([math.nan, 1.0])
        (0.5, inf)
    """
    return fmean(losses[len(losses) // 2 :]) if losses and all(map(math.isfinite, losses)) else math.inf


def is_clearly_lower(losses: Sequence[float], others: Sequence[float]) -> bool:
    r"""Return whether a trial ends with a lower loss than another one on the same batches, by more than the noise.

    The differences :math:`d_i` of the second half of the losses are compared with the standard error of their mean:

    .. math:: \bar d < -2\, s_d / \sqrt n

    Args:
        losses: the losses of a trial.
        others: the losses of the other trial.

    Example:
        >>> others = [3.0, 2.5, 2.0, 1.8]
        >>> is_clearly_lower([3.0, 2.0, 1.0, 0.9], others), is_clearly_lower([3.0, 2.0, 1.0, 2.0], others)
        (True, False)
    """
    found = _late_difference(losses, others)
    return found is not None and found[0] < -2 * found[1]


def is_hardly_higher(losses: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether a trial ends with a loss above that of another one by at most the noise and at most a fifth.

    Returns False if all losses are equal to the other's: the rate has no effect on them.

    Args:
        losses: the losses of a trial.
        others: the losses of the other trial on the same batches.

    Example:
        >>> others = [3.0, 2.5, 2.0, 1.8]
        >>> is_hardly_higher([3.0, 2.6, 2.3, 1.7], others), is_hardly_higher([3.0, 2.6, 2.4, 2.1], others)
        (True, False)
    """
    found = _late_difference(losses, others)
    return found is not None and found != (0.0, 0.0) and found[0] <= min(2 * found[1], late_loss(others) / 5)


def _late_difference(losses: Sequence[float], others: Sequence[float]) -> tuple[float, float] | None:
    """Return the mean difference in the second half and its standard error; ``None`` for a trial that broke off."""
    if len(losses) != len(others) or len(losses) < 3 or not math.isfinite(late_loss(losses) + late_loss(others)):
        return None
    late = list(zip(losses, others, strict=True))[len(losses) // 2 :]
    differences = [loss - other for loss, other in late]
    return fmean(differences), stdev(differences) / math.sqrt(len(differences))


def fall_exponent(times: Sequence[float], values: Sequence[float]) -> float:
    r"""Return the exponent of the power law along which a value has fallen lately.

    .. math:: L \propto t^{-\beta}, \quad \beta = \frac{\ln(L_3 / L_4)}{\ln(t_4 / t_3)} \ge 0

    with the means of value and time in the third and in the last quarter of the history.

    Args:
        times: the time of each value, >= 0, increasing.
        values: typically validation losses. Those that are not finite are left out.

    Returns:
        :math:`\beta`; 0 for a value that does not fall or is not positive, or with fewer than four finite values.

    Example:
        >>> round(fall_exponent([1, 2, 3, 4], [1.0, 0.707, 0.577, 0.5]), 2), fall_exponent([1, 2, 3, 4], [1, 1, 1, 2])
        (0.5, 0.0)
    """
    finite = [(time, value) for time, value in zip(times, values, strict=True) if math.isfinite(value)]
    third, last = _late_means([value for _, value in finite])
    earlier, later = _late_means([time for time, _ in finite])
    if not (0 < last < third and 0 < earlier < later):
        return 0.0
    return math.log(third / last) / math.log(later / earlier)


def gain_of_speed(exponent: float, ahead: float, factor: float, other: float = 1.0) -> float:
    r"""Return how much lower a loss ends at a higher rate, as a share of the present loss, apart from its noise.

    A loss that falls as a power of the time, in steps weighted with their rates, falls sooner at a higher rate:

    .. math:: (1 + g x)^{-\beta} - (1 + f x)^{-\beta}

    Args:
        exponent: :math:`\beta` of the power law, >= 0.
        ahead: :math:`x`, the sum of the rates of the steps to come, divided by that of the steps so far.
        factor: :math:`f`, the multiple of the rates to come.
        other: :math:`g`, the multiple with which it is compared.

    Example:
        >>> round(gain_of_speed(0.5, ahead=2.0, factor=2.0), 3), gain_of_speed(0.0, ahead=2.0, factor=2.0)
        (0.13, 0.0)
    """
    return float((1 + other * ahead) ** -exponent - (1 + factor * ahead) ** -exponent)


def is_paid_for(losses: Sequence[float], others: Sequence[float], gain: float) -> bool:
    """Return whether the loss of a trial exceeds that of another one by less than a gain that is still to come.

    Returns False if all losses are equal to the other's (the rate has no effect on them), and if there is no gain.

    Args:
        losses: the losses of a trial.
        others: the losses of the other trial on the same batches.
        gain: the gain, in units of the loss.

    Example:
        >>> others = [3.0, 2.5, 2.0, 1.8]
        >>> is_paid_for([3.0, 2.6, 2.1, 1.9], others, 0.2), is_paid_for([3.0, 2.6, 2.1, 1.9], others, 0.05)
        (True, False)
    """
    found = _late_difference(losses, others)
    return found is not None and found != (0.0, 0.0) and found[0] < gain and gain > 0


def is_on_plateau(losses: Sequence[float]) -> bool:
    """Return whether a loss has almost stopped falling: by less than a tenth between the last quarters of its history.

    Args:
        losses: the training losses of the run so far, or means over equally many batches each. Those that are not
            finite are left out; a plateau is recognized from at least four, positive in the third quarter.

    Example:
        >>> is_on_plateau([3.0, 2.0, 1.0, 0.95]), is_on_plateau([3.0, 2.0, 1.0, 0.7]), is_on_plateau([1.0, 1.0])
        (True, False, False)
    """
    third, last = _late_means([loss for loss in losses if math.isfinite(loss)])
    return third > 0 and last > 0.9 * third


def _late_means(values: Sequence[float]) -> tuple[float, float]:
    """Return the means of the third and of the last quarter; NaN for fewer than four values."""
    half, quarter = len(values) // 2, len(values) // 4
    if not quarter:
        return math.nan, math.nan
    return fmean(values[half : len(values) - quarter]), fmean(values[len(values) - quarter :])
