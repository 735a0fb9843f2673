"""LR trials: the few rates around a suggestion that are worth a short training each, and what their losses say."""

import math
from collections.abc import Sequence

from lightning_tricks.functional.range_test import steps_divisor

_MOST = 7
_QUARTER, _HALF = 0.25, 0.5  # of a decade


def trial_rates(lr: float, steps: int, budget: int, planned_steps: float | None = None) -> list[float]:
    r"""Return the rates to try, rising, around the one that a training as short as the trials would be given.

    Of a short training the best rate is higher than of a long one, so the middle is
    :math:`\eta \sqrt{T / k}`, with :math:`T` steps planned and :math:`k` in a trial
    (:func:`~lightning_tricks.functional.range_test.steps_divisor`). They lie a quarter of a decade apart, or, where
    there are only three of them, half a decade.

    Args:
        lr: the suggestion for the training to come.
        steps: of one trial.
        budget: of all trials together, at least three times ``steps``.
        planned_steps: optimizer steps of the training to come, if known.

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
    """Return the rate with the lowest loss, its neighbours' losses counted in; ``None`` if no loss is finite.

    A single loss depends on its batches, and a rate next to one at which training does badly is not a good rate: each
    loss counts three quarters, those of its neighbours an eighth each. The lowest rate's own loss stands in for its
    missing neighbour. Above the highest rate it is unknown whether training breaks: it is left out, except where there
    are only three.

    Args:
        trials: rates, rising, and the loss that each came to.

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
    r"""Return the suggestion, moved as far as trials are to be believed.

    .. math:: \eta\, m^{\sqrt{k / T}}

    A trial that is the whole training is believed in full, one of a hundredth of its :math:`T` steps a tenth of the
    way: what leads after :math:`k` steps need not lead in the end.

    Args:
        lr: the suggestion :math:`\eta` before the trials.
        moved: :math:`m`, the best rate of the trials over the middle one.
        steps: :math:`k`, of one trial.
        planned_steps: :math:`T`, 100 if not known.

    Example:
        >>> damp_move(0.01, moved=10.0, steps=25, planned_steps=25)
        0.1
        >>> round(damp_move(0.01, moved=10.0, steps=25, planned_steps=100), 4)
        0.0316
    """
    return float(lr * moved ** math.sqrt(min(1.0, steps / (planned_steps or 100))))
