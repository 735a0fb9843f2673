"""LR trials: the few rates around a suggestion that are worth a short training each, and which of them was best."""

import math
from collections.abc import Sequence

_QUARTER, _HALF = 10**0.25, 10**0.5


def trial_rates(lr: float, steps: int, budget: int, planned_steps: float | None = None) -> list[float]:
    """Return rates around a suggestion, as many as the budget allows, three at the most.

    The best rate of a short training is higher than that of a long one. So a trial that is the whole training tells
    which of two rates a quarter of a decade apart is better; a shorter one only that a rate is far too high, and is
    asked no more: whether half a decade less gets further even so.

    Args:
        lr: the suggestion, which comes first.
        steps: of one trial.
        budget: of all trials together.
        planned_steps: optimizer steps of the training to come, if known.

    Example:
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=50, budget=150, planned_steps=50)]
        [0.01, 0.0178, 0.0056]
        >>> [round(rate, 4) for rate in trial_rates(0.01, steps=50, budget=150, planned_steps=10_000)]
        [0.01, 0.0032]
    """
    whole = planned_steps is not None and steps >= planned_steps
    factors = (1.0, _QUARTER, 1 / _QUARTER) if whole else (1.0, 1 / _HALF)
    return [lr * factor for factor in factors[: budget // steps]]


def best_trial(trials: Sequence[tuple[float, float]]) -> float | None:
    """Return the rate with the lowest loss, ``None`` if no loss is finite.

    Example:
        >>> best_trial([(0.01, 1.5), (0.03, 1.2), (0.1, math.inf)])
        0.03
    """
    lr, loss = min(trials, key=lambda trial: trial[1] if math.isfinite(trial[1]) else math.inf)
    return lr if math.isfinite(loss) else None
