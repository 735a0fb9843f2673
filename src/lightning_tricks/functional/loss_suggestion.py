"""Loss suggestion: which loss fits a set of targets, and what to do about counts, soft labels and imbalance."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_tricks.core.arguments import check_count

IMBALANCE = 10.0
"""Classes are imbalanced if the largest has at least this many times the rows of the smallest."""
_BCE, _CE, _COUNTS, _MSE = "binary_cross_entropy_with_logits", "cross_entropy", "poisson_nll_loss", "mse_loss"


class LossSuggestion(NamedTuple):
    """A loss and the reason for it.

    Attributes:
        name: a function of ``torch.nn.functional``: ``"mse_loss"``, ``"cross_entropy"``,
            ``"binary_cross_entropy_with_logits"`` or ``"poisson_nll_loss"``.
        reason: what the targets look like, and what the loss requires of the model and the targets.
    """

    name: str
    reason: str


def suggest_loss(target: Any, *, num_outputs: int | None = None) -> LossSuggestion:
    """Suggest a loss for a set of targets.

    Give the targets of the whole training set, not of one batch, so that rare classes and large counts are seen.

    Args:
        target: ``(N,)`` or ``(N, *)``: class indices, 0/1 labels, class probabilities, counts or measurements; a
            tensor, an array or a list.
        num_outputs: outputs of the model per row, if known; distinguishes class indices from counts.

    Returns:
        The loss and the reason.

    Raises:
        TypeError: the targets are not numbers.
        ValueError: there are no targets, or they contain NaN or infinite values.

    Example:
        >>> suggest_loss([0, 1, 2, 1, 0, 2]).name
        'cross_entropy'
        >>> suggest_loss([0.3, -1.2, 2.5]).name
        'mse_loss'
        >>> suggest_loss([0.0, 1.0, 1.0], num_outputs=1).name
        'binary_cross_entropy_with_logits'
    """
    if num_outputs is not None:
        check_count("num_outputs", num_outputs, 1)
    values = _as_values(target)
    is_vector = values.ndim == 1 or values[0].numel() == 1
    if is_vector:
        column = values.reshape(-1)
        if bool(((column == 0) | (column == 1)).all()):
            return _for_two_values(column, num_outputs)
    elif values.ndim == 2 and (found := _for_matrix(values)):
        return found
    return _for_numbers(values, num_outputs)


def _as_values(target: Any) -> Tensor:
    try:
        values = target.detach().cpu() if isinstance(target, Tensor) else torch.as_tensor(target)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`target` must hold numbers, got {type(target).__name__} ({error}); convert class names to numbers first, "
            f"for instance with `sorted(set(target)).index`."
        ) from None
    if values.is_complex():
        raise TypeError(f"`target` must be real, got {values.dtype}.")
    if values.ndim == 0 or values.numel() == 0:
        raise ValueError(f"`target` must hold at least one row, got shape {tuple(values.shape)}.")
    if values.is_floating_point():
        bad = int((~values.isfinite()).sum())
        if bad:
            raise ValueError(f"`target` must be finite, got {bad} NaN or infinite values; drop or fill those rows.")
    return values


def _for_two_values(column: Tensor, num_outputs: int | None) -> LossSuggestion:
    share = column.double().mean().item()
    if num_outputs is not None and num_outputs > 1:
        reason = f"two classes and {num_outputs} outputs: class indices, `target.long()` of shape (N,)"
        return LossSuggestion(_CE, reason + _imbalance_of(column.long()))
    reason = "labels are 0 or 1: one output per row without a sigmoid, `target.float()` of the shape of the output"
    if not 0 < share < 1:
        reason += f"; but all rows have label {int(share)}: there is nothing to learn from them"
    elif min(share, 1 - share) < 1 / (1 + IMBALANCE):
        reason += (
            f"; {share:.1%} are positive: set `pos_weight` to {(1 - share) / share:.3g}, or use `binary_focal_loss`, "
            "and measure more than accuracy"
        )
    return LossSuggestion(_BCE, reason)


def _for_matrix(values: Tensor) -> LossSuggestion | None:
    """Return the loss for rows of labels or probabilities, or ``None`` if they are neither."""
    numbers = values.double()
    if not bool(((numbers >= 0) & (numbers <= 1)).all()):
        return None
    sums_to_one = bool(((numbers.sum(1) - 1).abs() < 1e-3).all())
    is_binary = bool(((numbers == 0) | (numbers == 1)).all())
    if sums_to_one and is_binary:
        reason = "rows are one-hot: class indices, `target.argmax(1)`, and one output per class without a softmax"
        return LossSuggestion(_CE, reason + _imbalance_of(numbers.argmax(1)))
    if sums_to_one:
        reason = "rows are class probabilities (soft labels): `cross_entropy` accepts them as floating-point numbers"
        return LossSuggestion(_CE, f"{reason}, with one output per class without a softmax")
    if is_binary:
        reason = "rows have several 0/1 labels each (multi-label): one output per label without a sigmoid"
        rare = numbers.mean(0)
        rare = rare[rare > 0]
        if len(rare) and rare.min() < 1 / (1 + IMBALANCE):
            reason += f"; the rarest label is in {rare.min():.1%} of the rows: use `pos_weight` or `binary_focal_loss`"
        return LossSuggestion(_BCE, reason)
    return None


def _for_numbers(values: Tensor, num_outputs: int | None) -> LossSuggestion:
    numbers = values.double().flatten()
    is_whole = bool((numbers == numbers.round()).all())
    low, high = int(numbers.min()), int(numbers.max())
    if is_whole and _are_classes(values, numbers, num_outputs, high):
        return _for_classes(values, numbers, num_outputs)
    if is_whole and low >= 0 and high > 1:
        reason = (
            f"whole numbers from {low} to {high}, taken as counts: the output is the logarithm of the rate "
            "(`log_input=True`); if the variance is far above the mean, try `mse_loss` on `log1p(target)`"
        )
        return LossSuggestion(_COUNTS, f"{reason}; if they are class indices, give `num_outputs`")
    return _for_measurements(numbers)


def _are_classes(values: Tensor, numbers: Tensor, num_outputs: int | None, high: int) -> bool:
    """Distinguish class indices from counts by the number of outputs, or by an integer type without many gaps."""
    classes = torch.unique(numbers[numbers >= 0])
    if not set(numbers[numbers < 0].tolist()) <= {-100.0, -1.0} or not len(classes):
        return False
    if num_outputs is not None:
        return num_outputs > high and num_outputs > 1
    return not values.is_floating_point() and 2 * len(classes) > high and 2 * len(classes) <= numbers.numel()


def _for_classes(values: Tensor, numbers: Tensor, num_outputs: int | None) -> LossSuggestion:
    labeled = numbers[numbers >= 0].long()
    count = int(labeled.max()) + 1 if num_outputs is None else num_outputs
    reason = f"class indices of {count} classes: one output per class without a softmax, (N, C, *)"
    if values.is_floating_point():
        reason += "; convert them with `target.long()`"
    if num_outputs is None:
        reason += "; if they are counts, use `poisson_nll_loss`"
    unlabeled = int(numbers.min())
    if unlabeled < 0:
        reason += f"; {unlabeled} marks rows without a label: set `ignore_index={unlabeled}`"
    return LossSuggestion(_CE, reason + _imbalance_of(labeled))


def _imbalance_of(classes: Tensor) -> str:
    counts = classes.bincount()
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < IMBALANCE * counts.min():
        return ""
    ratio = (counts.max() / counts.min()).item()
    return (
        f"; the largest class has {ratio:.0f} times the rows of the smallest: use `weight=class_weights(target)`, "
        "`weighted_sampler` or `focal_loss`, and measure more than accuracy"
    )


def _for_measurements(numbers: Tensor) -> LossSuggestion:
    reason = "real numbers: one output per number, no activation, output and target of the same shape"
    spread = numbers.std(correction=0).item()
    if spread == 0:
        return LossSuggestion(_MSE, f"{reason}; but all targets are equal: there is nothing to learn from them")
    if not (0.1 <= spread <= 10 and abs(numbers.mean().item()) <= 10 * spread):
        reason += f"; standardize the target (mean {numbers.mean():.3g}, deviation {spread:.3g})"
    z = (numbers - numbers.mean()) / spread
    if z.pow(4).mean() > 30:
        reason += "; a few targets are outliers: try `huber_loss`"
    if numbers.min() >= 0 and numbers.max() <= 1:
        reason += "; if they are probabilities, `binary_cross_entropy_with_logits` accepts them as soft labels"
    return LossSuggestion(_MSE, reason)
