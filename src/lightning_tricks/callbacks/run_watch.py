"""Run watch: keep what the doctor's run-time rules ask about, without a wait in a step."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class RunWatch:
    """What a run's steps show: losses that are not finite, and parameters that an epoch leaves as they were.

    Losses are kept as they come, on their device, and looked at when somebody asks. All processes ask together, and
    get the same answer.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._steps: list[int] = []
        self._batches = 0
        self._marks: dict[str, Tensor] = {}
        self._start = 0

    def start_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what every trainable parameter is."""
        self._start = trainer.global_step
        self._marks = fingerprints(pl_module)

    def see(self, trainer: Trainer, outputs: Any) -> int:
        """Keep the loss of a batch, if it has one, and return how many batches were seen since the last reading."""
        self._batches += 1
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach().sum() if loss.ndim else loss.detach())
            self._steps.append(trainer.global_step)
        return self._batches

    def first_bad_step(self, trainer: Trainer) -> int | None:
        """Return the first step, among those since the last call, whose loss was not finite on any process."""
        losses, steps = self._losses, torch.tensor([*map(float, self._steps), math.inf])
        self._losses, self._steps, self._batches = [], [], 0
        steps = steps.to(trainer.strategy.root_device)
        if losses:
            steps[:-1].masked_fill_(torch.stack(losses).isfinite().to(steps.device), math.inf)
        everywhere: Any = trainer.strategy.reduce(steps.min(), reduce_op="min")
        first: float = everywhere.tolist()
        return int(first) if math.isfinite(first) else None

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
        same = torch.stack([marks[name] == now[name] for name in names]).float()
        everywhere: Any = trainer.strategy.reduce(same, reduce_op="min")
        return tuple(name for name, value in zip(names, everywhere.tolist(), strict=True) if value)


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
