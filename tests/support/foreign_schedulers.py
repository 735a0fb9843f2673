"""Schedulers that are not torch's, as other libraries and projects write them."""

import math
from typing import Any

from torch.optim import lr_scheduler


class Foreign:
    """What Lightning asks of a scheduler that is no subclass of torch's."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self).update(state_dict)


class LikeTimm(Foreign):
    """As timm's schedulers: no subclass of torch's, rates of its own, ``step`` takes the epoch."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        self.base_values = [group["initial_lr"] for group in optimizer.param_groups]
        self.lr_min, self.warmup_lr_init, self.warmup_t = 1e-3, 1e-2, 3
        self.warmup_steps = [(value - self.warmup_lr_init) / self.warmup_t for value in self.base_values]
        self._write([self.warmup_lr_init for _ in self.base_values])

    def _write(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def step(self, epoch: int, metric: float | None = None) -> None:
        if epoch < self.warmup_t:
            self._write([self.warmup_lr_init + epoch * step for step in self.warmup_steps])
        else:
            share = 0.5 * (1 + math.cos(math.pi * (epoch - self.warmup_t) / 10))
            self._write([self.lr_min + share * (value - self.lr_min) for value in self.base_values])


class OwnCycle(lr_scheduler.LRScheduler):
    """As a scheduler that many projects copy: one highest and one lowest rate for all groups."""

    def __init__(self, optimizer: Any) -> None:
        self.base_max_lr = self.max_lr = 0.2
        self.min_lr = 0.01
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        share = (self.last_epoch % 4) / 3
        return [self.min_lr + share * (self.max_lr - self.min_lr) for _ in self.optimizer.param_groups]


class Wrapping(Foreign):
    """A warm-up around another scheduler."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self.after = lr_scheduler.CosineAnnealingLR(optimizer, 8, eta_min=0.001)

    def step(self) -> None:
        self.after.step()


class Stubborn(lr_scheduler.LRScheduler):
    """Rises to a rate that is written in its code, after three steps."""

    def get_lr(self) -> list[Any]:
        return [lr if self.last_epoch < 3 else 0.03 for lr in self.base_lrs]


class TwoArguments(Foreign):
    """Nothing says how to step it."""

    def step(self, first: int, second: int) -> None: ...
