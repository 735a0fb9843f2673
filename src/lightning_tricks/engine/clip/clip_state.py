"""Clip state: the measurements of an optimizer's gradients in a step, and the state that is kept between steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientNorms:
    """Measurements of one optimizer's gradients, all on the device.

    Attributes:
        params: the parameters with a gradient.
        evidence: ``(M,)`` norms; a non-finite norm indicates a non-finite gradient.
        entries: the number of entries of ``evidence`` for each parameter.
        total: ``()`` the joint norm; non-finite if any entry of ``evidence`` is.
        parts: the measurements that the callback clips by.
        norm: ``total`` as a number, if the host has read it.
    """

    params: Sequence[Tensor]
    evidence: Tensor
    entries: Sequence[int]
    total: Tensor
    parts: Any = None
    norm: float | None = None

    @property
    def bad(self) -> Tensor:
        """``()`` whether any gradient is not finite."""
        return self.total.isfinite().logical_not_()


@dataclass
class ClipState:
    """The state of one optimizer that is kept between steps, on its device.

    Attributes:
        skipped: ``()`` bad steps so far.
        bad_in_a_row: ``()`` consecutive bad steps up to now.
        clipped: ``()`` clipped steps since the last logged step.
        steps: steps since the last logged step.
        rules: what a callback learns for each separately clipped group, as dataclasses of tensors.
        thresholds: the last thresholds, which are only logged.
        counted_at: the Trainer's step number at the last evaluation.
        last_nonfinite: the last non-finite gradients.
    """

    skipped: Tensor
    bad_in_a_row: Tensor
    clipped: Tensor
    steps: int = 0
    rules: dict[int, Any] = field(default_factory=dict)
    thresholds: dict[int, Tensor] = field(default_factory=dict)
    counted_at: int | None = None
    last_nonfinite: GradientNorms | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return what must survive a restart, as copies in host memory."""
        counts = {name: getattr(self, name) for name in ("skipped", "bad_in_a_row", "clipped")}
        rules = {group: _on_host(vars(rule)) for group, rule in self.rules.items()}
        return {**_on_host(counts), "steps": self.steps, "rules": rules}


def _on_host(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def restore_clip_state(
    plain: dict[str, Any] | None, device: torch.device, restore_rule: Callable[[dict[str, Tensor]], Any]
) -> ClipState:
    """Return a state on a device, new or from a checkpoint.

    Args:
        plain: the result of :meth:`ClipState.to_plain`, if there is one.
        device: the device on which the gradients are measured.
        restore_rule: creates what is learned from its tensors.
    """
    if plain is None:
        zero = torch.zeros((), dtype=torch.int64, device=device)
        return ClipState(zero, zero.clone(), zero.clone())
    counts = {name: plain[name].to(device, copy=True) for name in ("skipped", "bad_in_a_row", "clipped")}
    rules = {
        group: restore_rule({name: tensor.to(device, copy=True) for name, tensor in tensors.items()})
        for group, tensors in plain["rules"].items()
    }
    return ClipState(**counts, steps=plain["steps"], rules=rules)
