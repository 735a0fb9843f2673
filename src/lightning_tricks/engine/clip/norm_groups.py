"""Norm groups: measure the norm of gradients that are clipped together, and scale each group to its own threshold."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lightning_tricks.engine.clip.clip_state import GradientNorms
from lightning_tricks.functional.clipping import clip_by_norm_
from lightning_tricks.functional.gradients import join_norms, tensor_norms


def measure_norms(groups: Sequence[Sequence[Tensor]], norm_type: float, per_group: bool) -> GradientNorms:
    """Measure an optimizer's gradients once, and combine their norms over all parameters or per parameter group.

    Args:
        groups: the parameters with a gradient, by group; at least one.
        norm_type: p of the norm.
        per_group: whether each group is clipped on its own.

    Returns:
        The norms, with ``parts``: the gradients and norm of each group that has a gradient.
    """
    params = [param for group in groups for param in group]
    grads: list[Tensor] = [param.grad for param in params]  # type: ignore[misc]
    norms = tensor_norms(grads, norm_type)
    total = join_norms(norms, norm_type)
    parts = {0: (grads, total)}
    if per_group and len(groups) > 1:
        sizes = [len(group) for group in groups]
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        parts = {
            i: (grads[end - size : end], join_norms(norms[end - size : end], norm_type))
            for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
            if size
        }
    return GradientNorms(params, norms, [1] * len(params), total, parts)


def lies_within(measured: GradientNorms, limit: float) -> bool:
    """Return whether the host knows that no gradient, and no group of gradients, can exceed a limit.

    The norm of a part is at most that of the whole, and an element is at most the norm of its part. Norms close to the
    limit do not count, so that rounding cannot cause a different result than a factor computed on the device.
    """
    return measured.norm is not None and measured.norm * (1 + 1e-5) + 1e-5 <= limit


def scale_to(measured: GradientNorms, thresholds: Mapping[int, float | Tensor]) -> Tensor:
    """Scale each group of gradients so that its norm is at most its threshold; return ``()`` whether any was above."""
    above = []
    for group, (grads, norm) in measured.parts.items():
        clip_by_norm_(grads, thresholds[group], total_norm=norm)
        above.append(norm > thresholds[group])
    return above[0] if len(above) == 1 else torch.stack(above).any()


def name_thresholds(thresholds: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Return thresholds under their logged names, with the group's number if there are several."""
    if len(thresholds) == 1:
        return {"clip_threshold": next(iter(thresholds.values()))}
    return {f"clip_threshold-group_{group}": threshold for group, threshold in thresholds.items()}
