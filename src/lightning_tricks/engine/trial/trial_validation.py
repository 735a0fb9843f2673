"""Trial validation: the loss on validation batches during a trial, without logging."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.core.step_output import returned_loss
from lightning_tricks.engine.run.lightning_internals import (
    clone_loader,
    shutdown_loader,
    to_device,
    val_loader,
    validation_arguments,
    validation_step_arguments,
)


def validation_loss(trainer: Trainer, pl_module: LightningModule, limit: int) -> Tensor | None:
    """Return the loss reported by the module's ``validation_step``, averaged over the first validation batches.

    This is the first value (or torchmetrics metric) that it logs under a name containing "loss", or otherwise the loss
    that it returns. Loggers and callbacks are not involved. If there are several validation loaders, the first one is
    used.

    Args:
        trainer: a Trainer that fits, between two steps.
        pl_module: its module, whose weights are not changed; its attributes and metrics may change.
        limit: the largest number of batches.

    Returns:
        The loss of this process, on its device; ``None`` on every process if one of them has no validation batches or
        reports no such loss.
    """
    loop: Any = trainer.fit_loop.epoch_loop.val_loop
    strategy: Any = trainer.strategy
    listener = _ValueListener()
    if _can_validate(trainer, pl_module):
        with torch.no_grad(), _validating(trainer, pl_module, listener):
            for arguments in _first_batches(trainer, pl_module, int(min(loop.max_batches[0], limit))):
                pl_module.on_validation_batch_start(*arguments.values())
                output = strategy.validation_step(*validation_step_arguments(trainer, arguments))
                listener.add_returned(output)
                pl_module.on_validation_batch_end(output, *arguments.values())
    has_loss = torch.tensor(float(listener.has_loss), device=strategy.root_device)
    everywhere: Any = strategy.reduce(has_loss, reduce_op="min")
    return listener.loss().to(strategy.root_device) if everywhere else None


def validation_score(trainer: Trainer, pl_module: LightningModule, limit: int, monitor: str) -> float:
    """Return what a validation of the first batches logs under a name, averaged over batches and processes.

    The hooks of a validation epoch are called, also its end, where metrics are often logged. Neither loggers nor
    callbacks hear of it. Of several validation loaders the first one counts.

    Args:
        trainer: a Trainer that fits, between two steps.
        pl_module: its module, whose weights are not changed; its attributes and metrics may change.
        limit: the largest number of batches.
        monitor: the name.

    Raises:
        MisconfigurationException: there are no validation batches that can be restored, or no process logs the name.
    """
    strategy: Any = trainer.strategy
    listener = _ValueListener(_logged_name(monitor))
    if not _can_validate(trainer, pl_module):
        raise MisconfigurationException(
            "There are no validation batches that can be read and restored, so that sizes cannot be compared by "
            f"`{monitor}`. Give `val_dataloaders`, or a data module or module with a `val_dataloader` that returns a "
            "DataLoader, and a `validation_step` that takes a batch."
        )
    with torch.no_grad(), _validating(trainer, pl_module, listener):
        for arguments in _first_batches(trainer, pl_module, limit):
            pl_module.on_validation_batch_start(*arguments.values())
            output = strategy.validation_step(*validation_step_arguments(trainer, arguments))
            pl_module.on_validation_batch_end(output, *arguments.values())
        pl_module.on_validation_epoch_end()
    score = listener.score()
    heard = torch.tensor(float(score is not None), device=strategy.root_device)
    if not bool(strategy.reduce(heard, reduce_op="min")):
        logged = ", ".join(sorted(listener.names)) or "nothing"
        raise MisconfigurationException(
            f"`monitor`='{monitor}' is not logged in validation; logged: {logged}. Choose a metric that is logged, or "
            "log it with `self.log` in `validation_step`."
        )
    assert score is not None
    return float(strategy.reduce(score.to(strategy.root_device), reduce_op="mean"))


def _logged_name(monitor: str) -> str:
    """Return the name that the module logs for a metric, without what Lightning appends.

    Example:
        >>> _logged_name("val_loss/dataloader_idx_0"), _logged_name("val_loss_epoch"), _logged_name("epoch")
        ('val_loss', 'val_loss', 'epoch')
    """
    return monitor.removesuffix("/dataloader_idx_0").removesuffix("_epoch")


def _can_validate(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Return whether there are validation batches that can be read without side effects, and a step for them."""
    combined = val_loader(trainer)
    if not trainer.enable_validation or combined is None:
        return False
    passes_once = any(hasattr(loader, "__next__") for loader in combined.flattened)
    fetches = "dataloader_iter" in inspect.signature(pl_module.validation_step).parameters
    return not passes_once and not fetches


def _first_batches(trainer: Any, module: Any, count: int) -> Iterator[dict[str, Any]]:
    """Yield the arguments of the hooks around a step, batch by batch."""
    own = clone_loader(val_loader(trainer))
    own.limits = [count] * len(own.flattened)
    try:
        for batch, batch_idx, dataloader_idx in own:
            if dataloader_idx:
                return
            batch = to_device(trainer, module, trainer.precision_plugin.convert_input(batch))
            yield validation_arguments(trainer, batch, batch_idx)
    finally:
        shutdown_loader(own)


@contextmanager
def _validating(trainer: Any, module: Any, listener: "_ValueListener") -> Iterator[None]:
    """Put the module and the Trainer into the state of a validation, and restore them."""
    modes = [(part, part.training) for part in trainer.model.modules()]
    before = {name: vars(module)[name] for name in ("log", "log_dict") if name in vars(module)}
    vars(module).update(log=listener.log, log_dict=listener.log_dict)
    trainer.validating = True
    try:
        module.on_validation_model_eval()
        module.on_validation_start()
        module.on_validation_epoch_start()
        yield
    finally:
        trainer.training = True
        for part, mode in modes:
            part.training = mode
        for name in ("log", "log_dict"):
            del vars(module)[name]
        vars(module).update(before)


class _ValueListener:
    """Collect the losses of validation steps, or one metric, and ignore other logged values.

    Args:
        name: of the metric; ``None``: the first with "loss" in it.
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name
        self.names: set[str] = set()
        self._metrics: list[Any] = []
        self._metric: Any = None
        self._logged: list[Tensor] = []
        self._returned: list[Tensor] = []

    def log(self, name: str, value: Any, *_: Any, **__: Any) -> None:
        self.names.add(name)
        if hasattr(value, "compute") and value not in self._metrics:
            self._metrics.append(value)
        if self._name is None and "loss" in name.lower():
            self._name = name
        if name != self._name:
            return
        if hasattr(value, "compute"):
            self._metric = value
        else:
            self._logged.append(torch.as_tensor(value).detach().float().mean())

    def log_dict(self, dictionary: Mapping[str, Any], *_: Any, **__: Any) -> None:
        for name, value in dictionary.items():
            self.log(name, value)

    def add_returned(self, output: Any) -> None:
        loss = returned_loss(output)
        if loss is not None and loss.numel() == 1:
            self._returned.append(loss.detach().float().mean())

    @property
    def has_loss(self) -> bool:
        """Whether there was a loss."""
        return bool(self._metric is not None or self._logged or self._returned)

    def score(self) -> Tensor | None:
        """Return what was logged under the name, ``None`` if nothing was, and reset all metrics as Lightning does."""
        score = self.loss() if self._metric is not None or self._logged else None
        for metric in self._metrics:
            metric.reset()
        return score

    def loss(self) -> Tensor:
        """Return the loss; of a metric, all processes ask together."""
        if self._metric is not None:
            return torch.as_tensor(self._metric.compute()).detach().float().mean()
        return stack_tensors(self._logged or self._returned).mean()
