"""Measure classes: how a loss weights the classes of its targets, and which of them it leaves out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_tricks.doctor.facts.trace_facts import ClassesFact, Operation

_WEIGHTED = {"cross_entropy": "weight", "nll_loss": "weight", "binary_cross_entropy_with_logits": "pos_weight"}


def measure_classes(operation: Operation, given: Sequence[tuple[str, Tensor]]) -> ClassesFact | None:
    """Return the facts about the classes of a loss; ``None`` if it neither weights nor ignores any.

    Args:
        operation: the call of the loss.
        given: its tensors, by the names of the arguments.
    """
    tensors = dict(given)
    target, name = tensors.get("target"), _WEIGHTED.get(operation.op)
    if name is None or target is None or not target.numel():
        return None
    weight = tensors.get(name)
    if name == "pos_weight":
        return None if weight is None else _of_two(target, weight)
    ignore_index = operation.settings.get("ignore_index", -100)
    if target.is_floating_point() or not isinstance(ignore_index, int) or (weight is None and ignore_index < 0):
        return None
    used = target[target != ignore_index]
    ignored = 1 - used.numel() / target.numel()
    return _of_many(used, weight, ignored) if weight is not None else ClassesFact(ignored=ignored)


def _of_many(target: Tensor, weight: Tensor, ignored: float) -> ClassesFact | None:
    if not target.numel() or int(target.min()) < 0 or int(target.max()) >= weight.numel():
        return None  # the call raises an error
    counts = torch.bincount(target.flatten(), minlength=weight.numel()).float()
    present, weights = counts > 0, weight.detach().float()
    left_out = present & (weights == 0)
    kept = present & (weights > 0)
    return ClassesFact(
        ignored=ignored,
        unweighted=tuple(left_out.nonzero().flatten().tolist()),
        unweighted_share=float(counts[left_out].sum() / counts.sum()),
        imbalance=_ratio(counts[kept]),
        weighted_imbalance=_ratio((counts * weights)[kept]),
    )


def _of_two(target: Tensor, weight: Tensor) -> ClassesFact | None:
    """Return the facts about targets of zeros and ones, over all labels together."""
    if bool(((target != 0) & (target != 1)).any()):
        return None
    positive = target.detach().float()
    ones = (positive * weight.detach().float()).sum()
    counts = torch.stack([(1 - positive).sum(), positive.sum()])
    weighted = torch.stack([counts[0], ones])
    if not bool((weighted > 0).all()):
        return None
    return ClassesFact(imbalance=_ratio(counts), weighted_imbalance=_ratio(weighted))


def _ratio(counts: Tensor) -> float:
    """Return the largest number divided by the smallest one; 1 if there is none."""
    return float(counts.max() / counts.min()) if counts.numel() else 1.0
