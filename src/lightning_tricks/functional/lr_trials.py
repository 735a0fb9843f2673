"""LR trials: the few rates around a suggestion that are worth a short training each, and which of them was best."""

import math
from collections.abc import Sequence
from statistics import fmean

_BELOW, _ABOVE = (1.0, 10**-0.5), (10**0.5, 10.0)


def trial_rates(lr: float, steps: int, budget: int, planned_steps: float | None = None) -> list[float]:
    """Return rates around a suggestion, half a decade apart, as many as the budget allows, four at the most.

    The best rate of a short training is higher than that of a long one. So a trial can say that a rate is too high
    whatever the length of the training, but that a higher one is better only if it is a fair part of it, half.

    Args:
        lr: the suggestion, which comes first.
        steps: of one trial.
        budget: of all trials together.
        planned_steps: optimizer steps of the training to come, if known.

    Example:
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=50, budget=150, planned_steps=100)]
        [0.01, 0.0032, 0.0316]
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=50, budget=150, planned_steps=10_000)]
        [0.01, 0.0032]
    """
    longer = planned_steps is None or 2 * steps < planned_steps
    factors = _BELOW if longer else (*_BELOW, *_ABOVE)
    return [lr * factor for factor in factors[: budget // steps]]


def score_trial(losses: Sequence[float]) -> float:
    """Return what a trial came to: the mean of the last third of its losses, infinite if one is not finite."""
    if not all(map(math.isfinite, losses)):
        return math.inf
    return fmean(losses[-max(1, len(losses) // 3) :])


def best_trial(trials: Sequence[tuple[float, float]]) -> float | None:
    """Return the rate with the lowest score, ``None`` if no score is finite.

    Example:
        >>> best_trial([(0.01, 1.5), (0.03, 1.2), (0.1, math.inf)])
        0.03
    """
    lr, score = min(trials, key=lambda trial: trial[1])
    return lr if math.isfinite(score) else None
