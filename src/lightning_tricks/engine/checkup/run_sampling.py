"""Run sampling: take metrics, losses and learning rates of sampled steps, and read them from the device later."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_tricks.core.step_output import returned_loss
from lightning_tricks.engine.lr.lr_product import LRProduct
from lightning_tricks.engine.run.run import Run

Value = float | Tensor
Sample = tuple[int, dict[str, Value]]
"""A step and values by key: ``metric:val_loss``, ``lr:0.1`` (optimizer and group), ``factor:CosineDecay/schedule``."""

BATCH_LOSS = "metric:batch loss"
_MAX_METRICS = 64
_GROUPS = 6
_MAX_WAITING = 512


class RunSampling:
    """Samples that stay on their device until they are read.

    A sample requires no host synchronization: tensors are copied on their device.

    Attributes:
        waiting: samples that have not been read yet; in very long epochs, every second one is dropped as often as
            needed.
        notes: what was omitted to bound the size.
    """

    def __init__(self) -> None:
        self.waiting: list[Sample] = []
        self.notes: list[str] = []
        self._seen: dict[str, Any] = {}
        self._names: set[str] = set()

    def note_seen(self, run: Run) -> None:
        """Mark everything logged so far as known, so that only later values are new."""
        self._seen = dict(run.trainer.callback_metrics)

    def take_lrs(self, run: Run) -> dict[str, Value]:
        """Return the learning rates and factors of the coming step."""
        found: dict[str, Value] = {}
        for i, optimizer in enumerate(run.optimizers):
            groups = list(enumerate(optimizer.param_groups))
            for number, group in _first_and_last(groups):
                lr = group.get("lr")
                if lr is not None:
                    found[f"lr:{i}.{number}"] = lr.detach().clone() if isinstance(lr, Tensor) else float(lr)
            if len(groups) > 2 * _GROUPS:
                self._note(f"Optimizer {i} has {len(groups)} groups; the first and last {_GROUPS} are shown.")
        product = run.find_part(LRProduct)
        if product is not None:
            found |= {f"factor:{name}": value for name, value in product.shared_factors().items()}
        return found

    def take_metrics(self, run: Run) -> dict[str, Value]:
        """Return the metrics that were logged since the last time, without the outcomes of this library's callbacks.

        Every process has to call this: reading a metric may reduce it over the processes.
        """
        logged: Mapping[str, Any] = run.trainer.callback_metrics
        own = tuple(f"{member.state_key}/" for member in run.members)
        found: dict[str, Value] = {}
        for name, value in logged.items():
            is_double = f"{name}_epoch" in logged or f"{name}_step" in logged
            is_new = self._seen.get(name) is not value
            if is_new and not is_double and not name.startswith(own) and torch.as_tensor(value).numel() == 1:
                found[f"metric:{name}"] = _copied(value)
        self._seen = dict(logged)
        return self._bound(found)

    def take_loss(self, pl_module: LightningModule, outputs: Any, accumulation: int) -> dict[str, Value]:
        """Return the undivided loss of a batch, if ``training_step`` returns one."""
        loss = returned_loss(outputs)
        if loss is None or loss.numel() != 1:
            return {}
        return {BATCH_LOSS: loss.detach().clone() * (accumulation if pl_module.automatic_optimization else 1)}

    def add(self, step: int, values: dict[str, Value]) -> None:
        """Keep a sample until it is read."""
        if values:
            self.waiting.append((step, values))
        if len(self.waiting) > _MAX_WAITING:
            self.waiting = self.waiting[::2]

    def peek(self) -> list[tuple[int, dict[str, float]]]:
        """Return the samples as numbers and keep them; synchronizes once with each device."""
        return read_samples(self.waiting)

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Return the samples as numbers and clear them; synchronizes once with each device."""
        taken, self.waiting = self.waiting, []
        return read_samples(taken)

    def _bound(self, found: dict[str, Value]) -> dict[str, Value]:
        new = [name for name in found if name not in self._names]
        room = max(_MAX_METRICS - len(self._names), 0)
        self._names.update(new[:room])
        if len(new) > room:
            self._note(f"More than {_MAX_METRICS} metrics were logged; the first {_MAX_METRICS} are kept.")
        return {name: value for name, value in found.items() if name in self._names}

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def read_samples(samples: list[Sample]) -> list[tuple[int, dict[str, float]]]:
    """Return samples as numbers, with one synchronization per device."""
    tensors = [value.reshape(()) for _, values in samples for value in values.values() if isinstance(value, Tensor)]
    numbers: dict[int, float] = {}
    for device in {tensor.device for tensor in tensors}:
        here = [tensor for tensor in tensors if tensor.device == device]
        read = torch.stack([tensor.to(torch.float32) for tensor in here]).tolist()
        numbers |= {id(tensor): number for tensor, number in zip(here, read, strict=True)}
    in_order = iter([numbers[id(tensor)] for tensor in tensors])
    return [
        (step, {name: next(in_order) if isinstance(value, Tensor) else value for name, value in values.items()})
        for step, values in samples
    ]


def _copied(value: Any) -> Value:
    if not isinstance(value, Tensor):
        return float(value)
    local = value.full_tensor() if hasattr(value, "full_tensor") else value
    return local.detach().clone()


def _first_and_last(groups: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    return groups if len(groups) <= 2 * _GROUPS else [*groups[:_GROUPS], *groups[-_GROUPS:]]


def mean_samples(everyone: list[list[tuple[int, dict[str, float]]]]) -> list[tuple[int, dict[str, float]]]:
    """Return the mean over the processes of samples that each took at the same points.

    Example:
        >>> mean_samples([[(1, {"loss": 1.0})], [(1, {"loss": 3.0, "only here": 5.0})]])
        [(1, {'loss': 2.0, 'only here': 5.0})]
    """
    if len(everyone) == 1:
        return everyone[0]
    joined = []
    for place in range(max(map(len, everyone))):
        here = [samples[place] for samples in everyone if place < len(samples)]
        names = dict.fromkeys(name for _, values in here for name in values)
        found = {name: [values[name] for _, values in here if name in values] for name in names}
        joined.append((here[0][0], {name: sum(numbers) / len(numbers) for name, numbers in found.items()}))
    return joined
