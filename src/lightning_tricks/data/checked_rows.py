"""Checked rows: convert tensors, arrays and lists to vectors and tables of numbers, and check them."""

from typing import Any

import torch
from torch import Tensor

from lightning_tricks.core.arguments import shown


def as_tensor(name: str, value: Any) -> Tensor:
    """Return ``value`` as a detached tensor on the host.

    Raises:
        TypeError: the value is not a tensor, an array or a list of numbers.
    """
    try:
        return value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}` must contain numbers, got {type(value).__name__} ({error}).") from None


def as_classes(name: str, value: Any) -> Tensor:
    """Return at least one class index, as int64.

    Raises:
        TypeError: the values do not have an integer dtype.
        ValueError: there are no indices, or a negative one.

    Example:
        >>> as_classes("targets", [0.0, 1.0])
        Traceback (most recent call last):
        ...
        TypeError: `targets` must contain class indices of an integer type, got torch.float32; use `targets.long()`.
    """
    classes = as_tensor(name, value)
    if classes.numel() == 0:
        raise ValueError(f"`{name}` must contain at least one class index, got shape {tuple(classes.shape)}.")
    if classes.is_floating_point() or classes.is_complex():
        raise TypeError(
            f"`{name}` must contain class indices of an integer type, got {classes.dtype}; use `{name}.long()`."
        )
    classes = classes.long()
    if int(classes.min()) < 0:
        raise ValueError(
            f"`{name}` must not be negative, got {int(classes.min())}; remove rows without a label, "
            f"`{name}[{name} >= 0]`."
        )
    return classes


def as_table(name: str, value: Any, min_rows: int) -> Tensor:
    """Return rows of features, ``(N, d)``, as finite float64; additional dimensions are flattened.

    Raises:
        TypeError: not numbers.
        ValueError: there are too few rows, no features, or NaN values.
    """
    rows = as_tensor(name, value)
    if rows.ndim < 2 or rows.numel() == 0:
        raise ValueError(
            f"`{name}` must have shape (N, d), got {tuple(rows.shape)}; use `{name}.view(-1, 1)` for one feature."
        )
    if len(rows) < min_rows:
        raise ValueError(f"`{name}` must have at least {min_rows} rows, got {len(rows)}.")
    rows = rows.double().flatten(1)
    check_finite(name, rows)
    return rows


def as_weights(name: str, value: Any) -> Tensor:
    """Return one weight per row, ``(N,)`` float64, not negative and not all zero.

    Raises:
        TypeError: not numbers.
        ValueError: the shape is wrong, or there are NaN or negative weights, or the sum is zero.

    Example:
        >>> as_weights("weights", [0, 0])
        Traceback (most recent call last):
        ...
        ValueError: `weights` must not sum to zero, got 2 weights of 0: no row could be drawn.
    """
    weights = as_tensor(name, value).double()
    if weights.ndim != 1 or not len(weights):
        raise ValueError(f"`{name}` must have shape (N,), one weight per row, got {tuple(weights.shape)}.")
    check_finite(name, weights)
    if bool((weights < 0).any()):
        worst = int(weights.argmin())
        raise ValueError(f"`{name}` must not be negative, got {shown(weights[worst].item())} in row {worst}.")
    if not bool((weights > 0).any()):
        raise ValueError(f"`{name}` must not sum to zero, got {len(weights)} weights of 0: no row could be drawn.")
    return weights


def check_finite(name: str, numbers: Tensor) -> None:
    """Raise an error that names the row if there are NaN or infinite values.

    Raises:
        ValueError: there are such values.
    """
    bad = ~numbers.isfinite().flatten(1).all(1) if numbers.ndim > 1 else ~numbers.isfinite()
    if bool(bad.any()):
        raise ValueError(
            f"`{name}` must be finite, got NaN or infinity in {int(bad.sum())} of {len(bad)} rows, the first in row "
            f"{int(bad.int().argmax())}; drop or fill them."
        )
