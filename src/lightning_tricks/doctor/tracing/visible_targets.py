"""Visible targets: does a model that is trained on the next step of a sequence see this step?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# the fewest steps, the share of targets that must agree, the share of steps that must differ from the previous one
_FEWEST, _ENOUGH, _MOVING = 4, 0.9, 0.5
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Sequences:
    """An input `(N, T)` or `(N, T, F)`, and its name."""

    name: str
    values: Tensor


def find_visible_target(
    run: Callable[[Tensor, Tensor], list[Tensor]],
    inputs: Iterable[Sequences],
    outputs: Sequence[Tensor],
    targets: Sequence[Tensor],
) -> tuple[str, float] | None:
    """Return the input whose next steps are the targets and change earlier outputs, with the relative change.

    The second half of the sequences is exchanged among the samples: outputs of the first half must not change.

    Args:
        run: returns the outputs with an input replaced by another tensor.
        inputs: the inputs of the model.
        outputs: its outputs.
        targets: the targets of the losses.
    """
    for sequences in inputs:
        values = sequences.values
        if not any(are_next_steps(target, values) for target in targets):
            continue
        half = values.shape[1] // 2
        later = torch.cat([values[:, :half], values[:, half:].roll(1, 0)], 1)
        for before, after in zip(outputs, run(values, later), strict=False):
            first, second = (_by_position(each, values)[:, :half] for each in (before.detach(), after.detach()))
            if first.numel() and first.shape == second.shape:
                change = float((first - second).abs().max() / first.abs().max().clamp_min(1e-12))
                if change > _ROUNDING:
                    return sequences.name, change
    return None


def are_next_steps(target: Tensor, values: Tensor) -> bool:
    """Return whether targets are the sequences shifted by one step, in any shape; negative class indices do not count.

    Example:
        >>> words = torch.arange(20).view(2, 10)
        >>> are_next_steps(words[:, 1:].flatten(), words), are_next_steps(words, words)
        (True, False)
    """
    if values.dim() not in (2, 3) or values.shape[1] < _FEWEST:
        return False
    following = values[:, 1:]
    if target.is_floating_point() != values.is_floating_point():
        return False
    if target.numel() == values.numel():  # the last step of each sequence has no successor
        target = target.reshape(values.shape)[:, :-1]
    elif target.numel() != following.numel():
        return False
    target, counts = target.reshape(following.shape), torch.ones_like(following, dtype=torch.bool)
    if not values.is_floating_point():
        counts = target >= 0
    same = torch.isclose(target.double(), following.double(), rtol=1e-5, atol=1e-6)
    moves = (following != values[:, :-1])[counts]
    if not bool(counts.any()) or float(moves.float().mean()) < _MOVING:
        return False
    return float(same[counts].float().mean()) > _ENOUGH


def _by_position(output: Tensor, values: Tensor) -> Tensor:
    """Return an output as `(N, T, *)`; empty if it has no row for each position."""
    rows, length = values.shape[:2]
    if output.dim() >= 2 and output.shape[:2] == (rows, length):
        return output
    if output.dim() >= 1 and output.shape[0] == rows * length:
        return output.reshape(rows, length, -1)
    return output.new_zeros(0, 0)
