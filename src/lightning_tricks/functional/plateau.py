"""Plateau: count the checks without a new best score, and reduce the learning rate when there are too many.

One frozen state serves both rules. "No improvement in n checks: reduce and continue" passes a ``patience`` to
:func:`observe`; "no improvement in n checks: stop" omits it and reads ``wait_count``.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

Mode = Literal["min", "max"]

# 0.1 ** 3 is 0.0010000000000000002: a factor that differs from the floor only by rounding has reached it.
_ROUNDING = 1e-9
_FEWEST_SCORES = 8
_NORMAL_MEDIAN = 0.6745
"""The median of the absolute value of a standard normal variable."""


@dataclass(frozen=True)
class PlateauState:
    """The result of all checks so far.

    Attributes:
        best_score: the best score; ``None`` before the first score that is not NaN.
        wait_count: consecutive checks without a new best, counted from the last reduction if there was one.
        lr_factor: product of all reductions, initially 1.
        num_reductions: number of reductions so far.
        cooldown_left: number of coming checks that do not count as bad.
    """

    best_score: float | None = None
    wait_count: int = 0
    lr_factor: float = 1.0
    num_reductions: int = 0
    cooldown_left: int = 0


def observe(
    state: PlateauState,
    value: float,
    *,
    mode: Mode = "min",
    min_delta: float = 0.0,
    patience: int | None = None,
    factor: float = 0.5,
    min_factor: float = 1 / 1024,
    cooldown: int = 0,
    precision: torch.dtype = torch.float64,
) -> PlateauState:
    r"""Return the state after one more check.

    With best :math:`b`, a score :math:`s` is a new best if :math:`s < b - \delta` (``"max"``: :math:`s > b + \delta`).
    Otherwise, except during a cooldown, the check is bad. The ``patience``-th consecutive bad check reduces the factor,
    :math:`f \leftarrow \max(f \cdot \text{factor}, f_{min})`, and the count restarts at 0. At the floor there are no
    more reductions.

    Args:
        state: the previous state.
        value: the score of this check; NaN is never better.
        mode: whether lower or higher is better.
        min_delta: a new best must be better by more than this, >= 0.
        patience: number of consecutive bad checks that triggers a reduction, >= 1; ``None`` for no reductions.
        factor: multiplier of each reduction, in ``(0, 1)``.
        min_factor: the floor of ``lr_factor``, in ``(0, 1)``.
        cooldown: number of checks after a reduction that never count as bad, >= 0.
        precision: the original dtype of ``value``; see :func:`is_better`.

    Example:
        >>> state = PlateauState()
        >>> for score in [0.9, 0.7, 0.8, 0.7]:
        ...     state = observe(state, score, patience=2)
        >>> state
        PlateauState(best_score=0.7, wait_count=0, lr_factor=0.5, num_reductions=1, cooldown_left=0)

    References:
        Nielsen, Neural Networks and Deep Learning, 2015, chapter 3: no-improvement-in-n, halve down to 1/1024.
    """
    cooling = max(state.cooldown_left - 1, 0)
    if is_better(value, state.best_score, mode=mode, min_delta=min_delta, precision=precision):
        return replace(state, best_score=value, wait_count=0, cooldown_left=cooling)
    if state.cooldown_left:
        return replace(state, wait_count=0, cooldown_left=cooling)
    waited = state.wait_count + 1
    if patience is None or waited < patience or at_floor(state, min_factor):
        return replace(state, wait_count=waited)
    return replace(
        state,
        wait_count=0,
        lr_factor=_cut(state.lr_factor, factor, min_factor),
        num_reductions=state.num_reductions + 1,
        cooldown_left=cooldown,
    )


def at_floor(state: PlateauState, min_factor: float) -> bool:
    """Return whether the reductions have reached the floor."""
    return state.lr_factor <= min_factor


def _cut(lr_factor: float, factor: float, min_factor: float) -> float:
    lowered = lr_factor * factor
    return lowered if lowered > min_factor * (1 + _ROUNDING) else min_factor


def is_better(
    value: float,
    best: float | None,
    *,
    mode: Mode = "min",
    min_delta: float = 0.0,
    precision: torch.dtype = torch.float64,
) -> bool:
    """Return whether a score is a new best: better than the best so far by more than ``min_delta``.

    A ``float32`` score is compared in that precision, on both sides: the difference between 1 and the ``float32`` 0.9,
    which is a little less than 0.9, is not *more* than 0.1.

    Example:
        >>> is_better(0.9, 1.0, min_delta=0.1), is_better(0.9, None), is_better(float("nan"), None)
        (False, True, False)
    """
    if best is None:
        best = worst(mode)
    if mode == "max":
        value, best = -value, -best
    if min_delta == 0 or precision == torch.float64:
        return value < best - min_delta
    return value < _rounded(best - min_delta, precision) and _rounded(value + min_delta, precision) < best


def score_noise(scores: Sequence[float]) -> float | None:
    r"""Estimate the standard deviation of the noise in a series of scores; ``None`` for fewer than eight finite ones.

    The second differences of a smooth trend are small, and those of independent noise have the variance
    :math:`6 \sigma^2`; their median resists jumps such as those at a restart.

    Example:
        >>> round(score_noise([1.0, 1.2, 0.9, 1.1, 1.0, 0.8, 1.1, 0.9, 1.2]), 2)
        0.3
        >>> score_noise([2.0**-i for i in range(20)]) < 1e-3
        True
    """
    values = [score for score in scores if math.isfinite(score)]
    if len(values) < _FEWEST_SCORES:
        return None
    second = [abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return statistics.median(second) / (_NORMAL_MEDIAN * math.sqrt(6))


def count_lucky_bests(scores: Sequence[float], noise: float, mode: Mode = "min") -> tuple[int, int]:
    """Return how many new bests are better than the last one by less than the noise, and how many there are.

    Example:
        >>> count_lucky_bests([1.0, 0.5, 0.49, 0.6, 0.48], noise=0.1)
        (2, 3)
    """
    best, gains = worst(mode), []
    for score in scores:
        if is_better(score, best, mode=mode):
            gains.append(abs(score - best))
            best = score
    return sum(gain < noise for gain in gains), sum(math.isfinite(gain) for gain in gains)


def worst(mode: Mode) -> float:
    """Return the worst possible score, which any number improves on."""
    return float("inf") if mode == "min" else float("-inf")


def _rounded(number: float, precision: torch.dtype) -> float:
    return torch.tensor(number, dtype=precision).item()


def as_precise(threshold: float, value: float) -> float:
    """Return a threshold in the precision of the score that it is compared with.

    Example:
        >>> score = torch.tensor(2.9).item()  # a float32, a little above 2.9
        >>> score > 2.9, score > as_precise(2.9, score)
        (True, False)
    """
    is_single = _rounded(value, torch.float32) == value
    return _rounded(threshold, torch.float32) if is_single else threshold
