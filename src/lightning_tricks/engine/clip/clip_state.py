"""Clip state: what was measured of an optimizer's gradients in a step, and what is kept of it until the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientNorms:
    """What was measured of one optimizer's gradients, all of it on the device.

    Attributes:
        params: the parameters that have a gradient.
        evidence: ``(M,)`` norms; a non-finite one tells a non-finite gradient.
        entries: how many of ``evidence`` belong to each of ``params``.
        total: ``()`` the norm of all, non-finite if any of ``evidence`` is.
        parts: what the callback clips by.
        norm: ``total`` as a number, where the host had to read it anyway.
    """

    params: Sequence[Tensor]
    evidence: Tensor
    entries: Sequence[int]
    total: Tensor
    parts: Any = None
    norm: float | None = None

    @property
    def bad(self) -> Tensor:
        """``()`` whether there is a gradient that is not finite."""
        return self.total.isfinite().logical_not_()


@dataclass
class ClipState:
    """What is kept of one optimizer from step to step, on its device.

    Attributes:
        skipped: ``()`` bad steps so far.
        bad_in_a_row: ``()`` the last of them without a good one between.
        clipped: ``()`` clipped steps since the last logged one.
        steps: steps since the last logged one.
        rules: what a callback learns, for each group that it clips on its own: dataclasses of tensors.
        thresholds: what it last clipped them to; not state, only logged.
        counted_at: the Trainer's step of the last evaluation.
        last_nonfinite: the last gradients that were not finite.
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
        """Return what must survive a restart, in host state and not shared with what is still counted."""
        counts = {name: getattr(self, name) for name in ("skipped", "bad_in_a_row", "clipped")}
        rules = {group: _on_host(vars(rule)) for group, rule in self.rules.items()}
        return {**_on_host(counts), "steps": self.steps, "rules": rules}


def _on_host(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def restore_clip_state(
    plain: dict[str, Any] | None, device: torch.device, restore_rule: Callable[[dict[str, Tensor]], Any]
) -> ClipState:
    """Return a state on a device, empty or as a checkpoint holds it.

    Args:
        plain: what :meth:`ClipState.to_plain` returned, if anything.
        device: where the gradients are measured.
        restore_rule: makes what is learnt from its tensors.
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
