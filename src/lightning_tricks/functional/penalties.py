"""Penalties: L1 and squared L2 norms of weights, as a term of the loss and as its gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.functional.gradients import local_parts


def weight_penalty(weights: Sequence[Tensor], l1: float = 0.0, l2: float = 0.0) -> Tensor:
    r"""Return the penalty of some weights, to be added to a loss.

    .. math:: \lambda_1 \sum_i |w_i| + \lambda_2 \sum_i |w_i|^2

    Args:
        weights: at least one tensor, of any shape; complex weights count by their modulus.
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0. Weight decay of :math:`\lambda` in SGD is ``l2`` of :math:`\lambda / 2`.

    Returns:
        ``()``.

    Example:
        >>> weight_penalty([torch.tensor([1.0, -2.0])], l1=0.5, l2=0.1)
        tensor(2.)
    """
    terms = [l1 * weight.abs().sum() + l2 * weight.abs().square().sum() for weight in weights]
    return stack_tensors(terms).sum()


@torch.no_grad()
def add_penalty_grads_(weights: Sequence[Tensor], l1: float = 0.0, l2: float = 0.0, scale: float = 1.0) -> None:
    r"""Add the gradient of :func:`weight_penalty` to the ``grad`` of each weight, in place.

    .. math:: g \leftarrow g + s (\lambda_1 \operatorname{sign}(w) + 2 \lambda_2 w)

    Args:
        weights: tensors that require a gradient; a missing gradient is created, a sparse one becomes dense.
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0.
        scale: factor of both terms, such as the completed share of an accumulation window.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([3.0, -1.0, 0.0]))
        >>> add_penalty_grads_([weight], l1=0.5, l2=1.0)
        >>> weight.grad
        tensor([ 6.5000, -2.5000,  0.0000])
    """
    if not scale or not (l1 or l2):
        return
    grads = [_dense_grad_(weight) for weight in weights]
    pairs = [local_parts(weights), local_parts(grads)]
    for (group, of_group), _ in _group_tensors_by_device_and_dtype(pairs).values():  # type: ignore[arg-type]
        values: list[Tensor] = group  # type: ignore[assignment]
        targets: list[Tensor] = of_group  # type: ignore[assignment]
        if l2:
            torch._foreach_add_(targets, values, alpha=2.0 * l2 * scale)
        if l1:
            _add_signs_(targets, values, l1 * scale)


def _dense_grad_(weight: Tensor) -> Tensor:
    """Return the gradient of a weight as a dense tensor, created if necessary."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    elif weight.grad.layout != torch.strided:
        weight.grad = weight.grad.to_dense()
    return weight.grad


def _add_signs_(targets: list[Tensor], values: list[Tensor], factor: float) -> None:
    """Add ``factor`` times the signs of values; on a CPU through one buffer, which stays in its cache."""
    first = values[0]
    if first.is_complex():
        torch._foreach_add_(targets, [value.sgn() for value in values], alpha=factor)
        return
    if first.device.type != "cpu":
        torch._foreach_add_(targets, torch._foreach_sign(values), alpha=factor)
        return
    buffer = first.new_empty(max(value.numel() for value in values))
    for target, value in zip(targets, values, strict=True):
        signs = buffer[: value.numel()].view(value.shape)
        target.add_(torch.sign(value, out=signs), alpha=factor)
