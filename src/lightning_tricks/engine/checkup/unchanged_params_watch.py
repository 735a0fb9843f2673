"""Unchanged-parameters watch: find parameters that an epoch does not change."""

from collections.abc import Collection
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lightning_tricks.core.devices import stack_tensors

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class UnchangedParamsWatch:
    """The trainable parameters that an epoch did not change."""

    def __init__(self) -> None:
        self._marks: dict[str, Tensor] = {}
        self._start = 0

    def start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record a fingerprint of every trainable parameter."""
        self._start = trainer.global_step
        self._marks = fingerprints(pl_module)

    def take(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Tensor]:
        """Return for each parameter whether it is unchanged since the start, ``()`` bools, on this process.

        Empty if no step was taken. Parameters with a learning rate of 0 are skipped.
        """
        if not self._marks or trainer.global_step == self._start:
            return {}
        resting = {
            id(parameter)
            for optimizer in trainer.optimizers
            for group in optimizer.param_groups
            if not group.get("lr", 1)
            for parameter in group["params"]
        }
        at_rest = {name for name, parameter in pl_module.named_parameters() if id(parameter) in resting}
        now = fingerprints(pl_module)
        names = [name for name in self._marks if name in now and name not in at_rest]
        return {name: now[name] == self._marks[name].to(now[name].device) for name in names}

    def stood_still(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Return whether no optimizer has stepped since the start and no parameter has changed."""
        if not self._marks or not trainer.optimizers or trainer.global_step != self._start:
            return False
        now = fingerprints(pl_module)
        return all(name in now and bool(now[name] == mark.to(now[name].device)) for name, mark in self._marks.items())

    def forget(self, but: Collection[str] = ()) -> None:
        """Drop all parameters except those with the given names."""
        self._marks = {name: mark for name, mark in self._marks.items() if name in but}

    def plain_state(self) -> dict[str, Any]:
        """Return the fingerprints, in host memory."""
        return {"start": self._start, "marks": {name: mark.tolist() for name, mark in self._marks.items()}}

    def load(self, plain: dict[str, Any]) -> None:
        """Load the result of :meth:`plain_state`."""
        self._start = plain["start"]
        self._marks = {name: torch.tensor(mark) for name, mark in plain["marks"].items()}


def join_unchanged(trainer: Trainer, taken: dict[str, Tensor]) -> tuple[str, ...]:
    """Return the parameters that are unchanged on all processes; each of them has to call this."""
    if not taken:
        return ()
    same = stack_tensors(list(taken.values())).to(trainer.strategy.root_device, torch.float32)
    everywhere: Any = trainer.strategy.reduce(same, reduce_op="min")
    return tuple(name for name, value in zip(taken, everywhere.tolist(), strict=True) if value)


def fingerprints(pl_module: nn.Module) -> dict[str, Tensor]:
    """Return the sum of the bits of each trainable parameter, interpreted as integers, on its device.

    Empty parameters are left out.

    Example:
        >>> layer = torch.nn.Linear(1, 1)
        >>> before = fingerprints(layer)["bias"]
        >>> with torch.no_grad():
        ...     _ = layer.bias.add_(1e-6)
        >>> bool(before == fingerprints(layer)["bias"])
        False
    """
    found = {}
    for name, parameter in pl_module.named_parameters():
        if parameter.requires_grad and not nn.parameter.is_lazy(parameter) and parameter.numel():
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            real = torch.view_as_real(local.detach()) if local.is_complex() else local.detach()
            found[name] = real.view(_INTEGERS[real.element_size()]).sum()
    return found
