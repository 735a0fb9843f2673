"""Batch size choice: the sizes worth a trial, their learning rates, and the size that the scores support."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from lightning_tricks.core.arguments import check_choice, check_count, check_number
from lightning_tricks.functional.sizing import FULL_BATCH_BELOW, LARGEST_BATCH

LRRule = Literal["linear", "sqrt", "none"]
LR_RULES = ("linear", "sqrt", "none")
"""How a learning rate scales with the batch size."""

_SMALLEST = 16
_POWERS = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}


class BatchSizeChoice(NamedTuple):
    """A batch size, or ``None`` if there is no suggestion, and the reason."""

    size: int | None
    reason: str


def scaled_lr(lr: float, batch_size: int, other: int, rule: LRRule = "sqrt") -> float:
    r"""Return the learning rate for another batch size.

    .. math:: \eta' = \eta \, (B' / B)^p, \qquad p = 1 \text{ (linear)}, \tfrac{1}{2} \text{ (sqrt)}, 0 \text{ (none)}

    Momentum is not changed: the noise of SGD is proportional to :math:`\eta / (B (1 - \mu))`, which the linear rule
    keeps constant. The square-root rule is for Adam and similar optimizers.

    Args:
        lr: the rate at ``batch_size``, > 0.
        batch_size: rows, at least 1.
        other: rows, at least 1.
        rule: ``"linear"``, ``"sqrt"`` or ``"none"``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> [scaled_lr(0.1, 64, 256, rule) for rule in ("linear", "sqrt", "none")]
        [0.4, 0.2, 0.1]

    References:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.1; Smith et al., Don't Decay the Learning Rate,
        Increase the Batch Size, 2018, section 3; Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient
        Algorithms, 2022.
    """
    check_number("lr", lr, 0, low_open=True)
    check_count("batch_size", batch_size, 1)
    check_count("other", other, 1)
    check_choice("rule", rule, LR_RULES)
    return float(lr * (other / batch_size) ** _POWERS[rule])


def trial_batch_sizes(num_samples: int | None, own: int) -> list[int]:
    """Return the batch sizes that are worth a trial, increasing.

    These are powers of two from 16 to 512 and the loader's own size; below 2,000 rows also the full batch.

    Args:
        num_samples: rows of one pass over the data; ``None`` if unknown.
        own: the loader's own size.

    Example:
        >>> trial_batch_sizes(50_000, 100), trial_batch_sizes(150, 32)
        ([16, 32, 64, 100, 128, 256, 512], [16, 32, 64, 128, 150])
    """
    check_count("own", own, 1)
    most = math.inf if num_samples is None else check_count("num_samples", num_samples, 1)
    sizes = {own, *(2**power for power in range(int(math.log2(_SMALLEST)), int(math.log2(LARGEST_BATCH)) + 1))}
    if num_samples is not None and num_samples < FULL_BATCH_BELOW:
        sizes.add(num_samples)
    return sorted(size for size in sizes if size <= most)


def choose_batch_size(
    start: float,
    scores: Mapping[int, float],
    *,
    mode: Literal["min", "max"] = "min",
    tolerance: float = 0.02,
    monitor: str = "val_loss",
) -> BatchSizeChoice:
    r"""Return the smallest batch size whose improvement comes close to the best.

    With :math:`s_0` the score before training and :math:`s_B` after equal time at size :math:`B`, that is the smallest
    :math:`B` with :math:`|s_B - s_0| \ge (1 - \epsilon) \max_b |s_b - s_0|`, among sizes whose score improves.

    Args:
        start: the score before training, finite.
        scores: scores by size; a non-finite score has diverged.
        mode: whether lower (``"min"``) or higher (``"max"``) is better.
        tolerance: :math:`\epsilon`, in [0, 1).
        monitor: the name of the score, for the reason.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> choose_batch_size(2.3, {32: 0.51, 64: 0.32, 128: 0.3, 256: 0.9})
        BatchSizeChoice(size=64, reason='`val_loss` goes from 2.3 to 0.32, 99% of the best improvement (to 0.3 at 128)')
        >>> choose_batch_size(1.0, {32: 1.0, 64: 1.0}).size is None
        True
    """
    check_number("start", start)
    check_choice("mode", mode, ("min", "max"))
    check_number("tolerance", tolerance, 0, 1, high_open=True)
    sign = 1.0 if mode == "min" else -1.0
    gains = {size: sign * (start - score) for size, score in sorted(scores.items()) if math.isfinite(score)}
    if not gains:
        return BatchSizeChoice(None, f"training does not end with a finite `{monitor}` at any size")
    best = max(gains, key=lambda size: gains[size])
    if not any(gains.values()):
        return BatchSizeChoice(
            None,
            f"`{monitor}` is {start:.4g} before training and at every size after it: training does not affect it, or "
            f"the time is too short",
        )
    if gains[best] <= 0:
        return BatchSizeChoice(
            None,
            f"`{monitor}` does not improve on {start:.4g} at any size: the time is too short or the learning rate too "
            f"high",
        )
    size = min(size for size, gain in gains.items() if gain >= (1 - tolerance) * gains[best])
    return BatchSizeChoice(size, _reason(start, scores, gains, size, best, monitor))


def _reason(
    start: float, scores: Mapping[int, float], gains: Mapping[int, float], size: int, best: int, monitor: str
) -> str:
    reason = f"`{monitor}` goes from {start:.4g} to {scores[size]:.4g}, "
    if size == best:
        reason += "the best improvement"
    else:
        share = math.floor(100 * gains[size] / gains[best])
        reason += f"{share}% of the best improvement (to {scores[best]:.4g} at {best})"
    if len(gains) > 1 and size == min(gains):
        reason += "; it is the smallest size that was tried"
    if len(gains) > 1 and size == max(gains):
        reason += "; it is the largest size that trained"
    return reason


class ValidationPlan(NamedTuple):
    """How often each size is validated after the start, and on how many batches."""

    points: int
    batches: int


def plan_validation(seconds: float, startup: float, per_batch: float, batches: int) -> ValidationPlan:
    """Return how to use the time for validation: all batches if there is time for three, otherwise fewer.

    Args:
        seconds: for the validations of one size together, > 0.
        startup: seconds that a validation takes before its first batch, >= 0.
        per_batch: seconds per batch, >= 0.
        batches: number of validation batches, at least 1.

    Example:
        >>> plan_validation(2.0, 0.01, 0.01, 10), plan_validation(0.2, 0.01, 0.01, 10)
        (ValidationPlan(points=8, batches=10), ValidationPlan(points=4, batches=4))
    """
    for points in (8, 6, 4, 3):
        if points * (startup + per_batch * batches) <= seconds:
            return ValidationPlan(points, batches)
    for points in (4, 2):
        affordable = int((seconds / points - startup) / max(per_batch, 1e-9))
        if affordable >= 1:
            return ValidationPlan(points, min(affordable, batches))
    return ValidationPlan(1, max(1, min(batches, int((seconds - startup) / max(per_batch, 1e-9)))))
