"""Focal losses: cross entropy with less weight on rows that the model already classifies correctly.

The modulating factor ``(1 - p)^gamma`` is computed from ``log(1 - p)``, which is computed without cancellation. Neither
the loss nor its gradient overflows where the model is certain.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_tricks.core.arguments import check_choice, check_count, check_list, check_number, shown, shown_with_type

REDUCTIONS = ("mean", "sum", "none")


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | Sequence[float] | None = None,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Cross entropy in which each class's term is multiplied by ``(1 - p)^gamma``.

    .. math:: \ell = \sum_c q_c\, \alpha_c\, w_c\, (1 - p_c)^\gamma\, (-\log p_c)

    where :math:`p` is the softmax of the logits and :math:`q` the target after label smoothing. With ``gamma=0`` it
    equals :func:`torch.nn.functional.cross_entropy` with the same arguments. ``"mean"`` divides by what
    ``cross_entropy`` divides by, regardless of ``gamma`` and ``alpha``: the sum of the rows' ``weight`` (class indices)
    or the number of rows (probabilities). The weights are not part of the modulating factor. Half-precision logits are
    computed in float32.

    Args:
        logits: ``(N, C, *)`` or ``(C,)``, unnormalized scores.
        target: class indices ``(N, *)`` or ``()``, or class probabilities of the shape of ``logits``.
        gamma: the exponent, >= 0; 2 in the paper. Larger values reduce the weight of easy rows.
        alpha: ``(C,)``, one factor per class, by which the mean does not divide; see ``class_weights``.
        weight: ``(C,)``, one factor per class, by which the mean divides, as in ``cross_entropy``.
        label_smoothing: the share of the target that is spread over all classes, in [0, 1].
        ignore_index: class index of rows that do not count; for class indices only.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar ``()``, or ``(N, *)`` with ``"none"``. The mean over no rows is NaN, as in ``cross_entropy``.

    Raises:
        TypeError: a wrong type, or a single number as ``alpha``, which would scale all classes by the same factor.
        ValueError: shapes that do not match, or a number that is out of range.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 0.5]])
        >>> focal_loss(logits, torch.tensor([0, 1]), reduction="none")
        tensor([5.8716e-06, 6.7573e-02])

    References:
        Lin, Goyal, Girshick, He & Dollár, Focal loss for dense object detection, 2017, eq. 5.
    """
    check_number("gamma", gamma, 0)
    check_number("label_smoothing", label_smoothing, 0, 1)
    check_count("ignore_index", ignore_index, -(2**63))
    check_choice("reduction", reduction, REDUCTIONS)
    dim = _class_dim(logits)
    precise = _in_float32(logits)
    log_rest = None if gamma == 0 else _log_one_minus_p(precise, dim)
    focus = _Focus(F.log_softmax(precise, dim), log_rest, gamma, dim)
    alphas, weights = _per_class("alpha", alpha, focus), _per_class("weight", weight, focus)
    if target.is_floating_point():
        if ignore_index >= 0:
            raise ValueError(f"`ignore_index` is for class indices only, got {shown(ignore_index)} with probabilities.")
        return _reduce(*_of_probabilities(focus, target, label_smoothing, alphas, weights), reduction, logits)
    return _reduce(*_of_indices(focus, target, ignore_index, label_smoothing, alphas, weights), reduction, logits)


def binary_focal_loss(
    logits: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float | None = 0.25, reduction: str = "mean"
) -> Tensor:
    r"""Binary cross entropy with logits, with less weight on outputs that are already correct.

    .. math:: \ell = \alpha\, q\, (1 - p)^\gamma (-\log p) + (1 - \alpha)(1 - q)\, p^\gamma (-\log(1 - p))

    where :math:`p` is the sigmoid of the logit and :math:`q` the target. ``alpha`` weights the positive class
    (``target`` 1). With ``gamma=0, alpha=None`` it equals
    :func:`torch.nn.functional.binary_cross_entropy_with_logits`.

    Args:
        logits: ``(*)``, one score per output.
        target: 0, 1 or a probability per output, with the shape of ``logits``.
        gamma: the exponent, >= 0; 2 in the paper.
        alpha: factor of the positive class, in [0, 1]; the negative class gets ``1 - alpha``. 0.25 with ``gamma=2`` in
            the paper. ``None`` means factor 1 for both classes.
        reduction: ``"mean"`` over all outputs, ``"sum"`` or ``"none"``.

    Returns:
        A scalar ``()``, or the shape of ``logits`` with ``"none"``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: shapes that differ, or a number that is out of range.

    Example:
        >>> binary_focal_loss(torch.tensor([4.0, 4.0]), torch.tensor([1.0, 0.0]), reduction="none")
        tensor([1.4679e-06, 2.9062e+00])

    References:
        Lin, Goyal, Girshick, He & Dollár, Focal loss for dense object detection, 2017, eq. 5.
    """
    check_number("gamma", gamma, 0)
    check_choice("reduction", reduction, REDUCTIONS)
    if alpha is not None:
        check_number("alpha", alpha, 0, 1)
    if target.shape != logits.shape:
        raise ValueError(
            f"`target` must have the shape of `logits`, {tuple(logits.shape)}, got {tuple(target.shape)}; reshape one "
            "of them, for instance with `logits.squeeze(1)`."
        )
    positive, negative = 1.0 if alpha is None else alpha, 1.0 if alpha is None else 1 - alpha
    precise = _in_float32(logits)
    log_p, log_rest = F.logsigmoid(precise), F.logsigmoid(-precise)
    q = target.to(log_p.dtype)
    hit, miss = _modulated(log_p, log_rest, gamma), _modulated(log_rest, log_p, gamma)
    rows = -(positive * q * hit + negative * (1 - q) * miss)
    return _reduce(rows, rows.numel(), reduction, logits)


class _Focus(NamedTuple):
    """``log(p)``, ``log(1 - p)`` (``None`` for gamma 0), gamma, and the class dimension."""

    log_p: Tensor
    log_rest: Tensor | None
    gamma: float
    dim: int

    def terms(self, index: Tensor | None = None) -> Tensor:
        """Return ``-(1 - p)^gamma log p`` of all classes, or of those in ``index``, with a dimension of size 1."""
        if index is None:
            return -_modulated(self.log_p, self.log_rest, self.gamma)
        log_rest = None if self.log_rest is None else self.log_rest.gather(self.dim, index)
        return -_modulated(self.log_p.gather(self.dim, index), log_rest, self.gamma)

    def pick(self, factors: Tensor | None, index: Tensor) -> Tensor | None:
        """Return the factors of the classes in ``index``."""
        return None if factors is None else factors.expand_as(self.log_p).gather(self.dim, index)


def _class_dim(logits: Tensor) -> int:
    if not logits.is_floating_point():
        raise TypeError(f"`logits` must be floating-point, got {logits.dtype}.")
    if logits.ndim == 0:
        raise ValueError("`logits` must have shape (N, C, *) or (C,), got ().")
    return 0 if logits.ndim == 1 else 1


def _per_class(name: str, factor: Tensor | Sequence[float] | None, focus: _Focus) -> Tensor | None:
    """Return one factor per class as a tensor that broadcasts with the logits."""
    if factor is None:
        return None
    if isinstance(factor, (int, float)) or (isinstance(factor, Tensor) and factor.ndim == 0):
        raise TypeError(
            f"`{name}` must hold one factor per class, got {shown_with_type(factor)}: a single number would only scale "
            f"the loss. Give a tensor of length C, or use `binary_focal_loss`, whose `alpha` weights the positive "
            f"class."
        )
    if not isinstance(factor, Tensor):
        for i, number in enumerate(check_list(name, factor)):
            check_number(f"{name}[{i}]", number, 0)
    vector = torch.as_tensor(factor, dtype=focus.log_p.dtype, device=focus.log_p.device)
    num_classes = focus.log_p.shape[focus.dim]
    if vector.shape != (num_classes,):
        raise ValueError(f"`{name}` must have one factor per class, ({num_classes},), got {tuple(vector.shape)}.")
    return vector.view([num_classes if dim == focus.dim else 1 for dim in range(focus.log_p.ndim)])


def _of_indices(
    focus: _Focus, target: Tensor, ignore_index: int, smoothing: float, alphas: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the loss of each row, and what the mean divides by."""
    valid, index = _class_indices(focus, target, ignore_index)
    weight = focus.pick(weights, index)
    terms = _scaled(focus.terms(index), weight, focus.pick(alphas, index))
    if smoothing > 0:
        spread = _scaled(focus.terms(), weights, alphas).mean(focus.dim, keepdim=True)
        terms = (1 - smoothing) * terms + smoothing * spread
    counted = valid.to(terms.dtype) if weight is None else weight.masked_fill(~valid, 0)
    return terms.masked_fill(~valid, 0).squeeze(focus.dim), counted.sum()


def _class_indices(focus: _Focus, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return which rows count, and the class of each, with a dimension for ``gather``."""
    if target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"`target` must hold class indices or probabilities, got {target.dtype}; use `target.long()`.")
    shape = tuple(focus.log_p.shape)
    expected = (*shape[: focus.dim], *shape[focus.dim + 1 :])
    if target.shape != expected:
        raise ValueError(
            f"`target` must have shape {expected} for class indices, got {tuple(target.shape)}, with `logits` of shape "
            f"{shape}; probabilities must be floating-point and have the shape of `logits`."
        )
    index = target.long().unsqueeze(focus.dim)
    valid = index != ignore_index
    return valid, index.masked_fill(~valid, 0)


def _of_probabilities(
    focus: _Focus, target: Tensor, smoothing: float, alphas: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, float]:
    """Return the loss of each row, and what the mean divides by."""
    if target.shape != focus.log_p.shape:
        raise ValueError(
            f"`target` of class probabilities must have the shape of `logits`, {tuple(focus.log_p.shape)}, got "
            f"{tuple(target.shape)}; class indices must be integers, use `target.long()`."
        )
    num_classes = target.shape[focus.dim]
    q = target.to(focus.log_p.dtype)
    q = (1 - smoothing) * q + smoothing / num_classes if smoothing > 0 else q
    return _scaled(q * focus.terms(), weights, alphas).sum(focus.dim), q.numel() / num_classes


def _scaled(terms: Tensor, *factors: Tensor | None) -> Tensor:
    for factor in factors:
        terms = terms if factor is None else terms * factor
    return terms


def _modulated(log_p: Tensor, log_rest: Tensor | None, gamma: float) -> Tensor:
    """Return ``(1 - p)^gamma log p``."""
    return log_p if log_rest is None or gamma == 0 else log_p * torch.exp(gamma * log_rest)


def _log_one_minus_p(logits: Tensor, dim: int) -> Tensor:
    """Return ``log(1 - p)`` of each class, with a bounded gradient.

    Only the largest class can have p > 1/2; for it, the exponentials of the other classes are summed.
    """
    z = logits - logits.detach().amax(dim, keepdim=True)
    is_top = torch.zeros_like(z, dtype=torch.bool).scatter_(dim, z.detach().argmax(dim, keepdim=True), True)
    total = z.logsumexp(dim, keepdim=True)
    of_top = z.masked_fill(is_top, torch.finfo(z.dtype).min).logsumexp(dim, keepdim=True) - total
    p = torch.exp(z - total).masked_fill(is_top, 0)
    return torch.where(is_top, of_top, torch.log1p(-p))


def _in_float32(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _reduce(rows: Tensor, count: Tensor | float, reduction: str, logits: Tensor) -> Tensor:
    """Reduce over the rows, in the dtype of the logits, or in float32 under autocast as torch's losses do on a GPU."""
    if reduction != "none":
        rows = rows.sum() / count if reduction == "mean" else rows.sum()
    return rows if torch.is_autocast_enabled(logits.device.type) else rows.to(logits.dtype)
