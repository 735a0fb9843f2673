"""Still watch: parameters that an epoch leaves as they were."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class UnchangedParamsWatch:
    """Which trainable parameters an epoch left as they were; the same on every process."""

    def __init__(self) -> None:
        self._marks: dict[str, Tensor] = {}
        self._start = 0

    def start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what every trainable parameter is."""
        self._start = trainer.global_step
        self._marks = fingerprints(pl_module)

    def unchanged(self, trainer: Trainer, pl_module: LightningModule) -> tuple[str, ...]:
        """Return the parameters that stayed as they were since the epoch's start, if any step was taken at any rate."""
        marks, self._marks = self._marks, {}
        rates = [group.get("lr", 1) for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if not marks or trainer.global_step == self._start or not any(rates):
            return ()
        now = fingerprints(pl_module)
        names = [name for name in marks if name in now]
        if not names:
            return ()
        same = torch.stack([now[name] == marks[name].to(now[name].device) for name in names]).float()
        everywhere: Any = trainer.strategy.reduce(same, reduce_op="min")
        return tuple(name for name, value in zip(names, everywhere.tolist(), strict=True) if value)

    def plain_state(self) -> dict[str, Any]:
        """Return what was noted, in host memory."""
        return {"start": self._start, "marks": {name: mark.tolist() for name, mark in self._marks.items()}}

    def load(self, plain: dict[str, Any]) -> None:
        """Go on with what :meth:`plain_state` returned."""
        self._start = plain["start"]
        self._marks = {name: torch.tensor(mark) for name, mark in plain["marks"].items()}


def fingerprints(pl_module: nn.Module) -> dict[str, Tensor]:
    """Return the sum over the bits of each trainable parameter, taken for whole numbers, on its device.

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
        if parameter.requires_grad and not nn.parameter.is_lazy(parameter):
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            real = torch.view_as_real(local.detach()) if local.is_complex() else local.detach()
            found[name] = real.view(_INTEGERS[real.element_size()]).sum()
    return found
