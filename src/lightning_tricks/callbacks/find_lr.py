"""Find a learning rate without a fit: two lines, after which model, Trainer and random numbers are as before."""

import random
import signal
import sys
from importlib import import_module
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from lightning_tricks.callbacks.lr_finder import LRFinder
from lightning_tricks.core.arguments import check_count
from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.trial.run_snapshot import refuse_lazy, refuse_unrestorable
from lightning_tricks.engine.trial.trial_step import alters_steps
from lightning_tricks.reports.lr_finder_result import LRFinderResult


def find_lr(
    model: LightningModule,
    train_dataloaders: Any = None,
    *,
    val_dataloaders: Any = None,
    datamodule: LightningDataModule | None = None,
    trainer: Trainer | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    **finder_arguments: Any,
) -> LRFinderResult:
    """Find a learning rate for a model and its data, and restore the model, the Trainer and the random generators.

    Args:
        model: a LightningModule; its ``configure_optimizers`` defines the optimizer.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``; only the trials of ``refine`` use it.
        datamodule: as for ``Trainer.fit``.
        trainer: the Trainer of the planned training, for its precision, accumulation, devices and the callbacks that
            change a step; by default one device and nothing else. ``ddp_spawn`` and ``ddp_fork`` are refused.
        epochs: length of the planned training if no Trainer is given: a longer training needs a smaller rate.
        seed: of the random generators during the sweep, so that the same call finds the same rate again.
        finder_arguments: those of :class:`LRFinder`, except ``apply``, ``at_epochs`` and ``log_figure``.

    Returns:
        The sweep and what it suggests.

    Raises:
        TypeError: an argument that :class:`LRFinder` has not, or that has no meaning here.
        ValueError: there is no batch, or both ``trainer`` and ``epochs``.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the strategy works in other processes; there
            is no learning rate to find, or something that cannot be restored, before anything is changed.

    Example::

        result = find_lr(model, train_dataloader)
        print(result)
    """
    given = sorted({"apply", "at_epochs", "log_figure"} & finder_arguments.keys())
    if given:
        raise TypeError(
            f"`find_lr` searches once and applies nothing: `{given[0]}` is an argument of the callback `LRFinder`."
        )
    if epochs is not None and trainer is not None:
        raise ValueError(f"`epochs`={epochs} and `trainer` both give the length of the training; give one of them.")
    if epochs is not None:
        check_count("epochs", epochs, 1)
    if seed is not None:
        check_count("seed", seed, 0, 2**32 - 1)
    finder = _FinderNow(**finder_arguments)
    finder.knows_length = trainer is not None or epochs is not None
    restore_random_state = remember_random_state()
    runner: Any = trainer or _plain_trainer(model, epochs or 1)
    if "MultiProcessing" in type(runner.strategy.launcher).__name__:
        raise MisconfigurationException(
            "`find_lr` cannot return what spawned or forked processes find. Use one device, "
            "`strategy='ddp'`, or the callback `LRFinder` in the fit itself."
        )
    memory = ObjectSnapshot(enter=("lightning", "pytorch_lightning"))
    memory.leave_out(*runner.loggers)
    refuse_lazy(model)
    memory.remember(train_dataloaders, datamodule, tensors=False)
    memory.remember(model)
    refuse_unrestorable(memory)
    memory.remember(val_dataloaders, tensors=False)
    memory.remember(runner)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        _prepare_trainer(runner, finder)
        if seed is not None:
            _seed(seed)
        runner.fit(model, train_dataloaders, val_dataloaders, datamodule=datamodule)
    finally:
        if interrupt is not None and signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)  # a Trainer that is interrupted ignores it from then on
        try:
            memory.restore_()
        finally:
            restore_random_state()
    if finder.result is None:
        raise ValueError("There is no training batch to try a learning rate on. Check the loader and its data set.")
    return finder.result


class _FinderNow(LRFinder):
    """Look whatever the epoch is, and end the fit."""

    knows_length = True

    def planned_steps(self, trainer: Trainer) -> int | None:
        return super().planned_steps(trainer) if self.knows_length else None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.result = self.search(trainer, pl_module, first=True)
        raise _import_from(_package_of(trainer), "utilities.exceptions")._TunerExitException


def _prepare_trainer(trainer: Any, finder: LRFinder) -> None:
    """Keep only the callbacks that change a step, none that writes or stops; only trials may validate."""
    stay = [cb for cb in trainer.callbacks if alters_steps(cb) or isinstance(cb, Trick)]
    bar = [cb for cb in trainer.callbacks if cb is trainer.progress_bar_callback]
    trainer.callbacks = [*(cb for cb in stay if not isinstance(cb, LRFinder)), finder, *bar]
    trainer.loggers = []
    trainer.num_sanity_val_steps = 0
    if not finder.refine:
        trainer.limit_val_batches = 0
    elif trainer.check_val_every_n_epoch is not None:  # it shall have its validation loader ready
        trainer.check_val_every_n_epoch = 1
    trainer.fast_dev_run = trainer.should_stop = False
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch:  # it has fitted before
        trainer.fit_loop.max_epochs = trainer.current_epoch + 1
    if 0 <= trainer.max_steps <= trainer.global_step:
        trainer.fit_loop.epoch_loop.max_steps = -1


def _seed(seed: int) -> None:
    """Seed the generators of python, numpy and torch."""
    random.seed(seed)
    torch.manual_seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def _plain_trainer(model: LightningModule, epochs: int) -> Any:
    kind = _import_from(_package_of(model), "trainer").Trainer
    return kind(devices=1, max_epochs=epochs, logger=False, enable_checkpointing=False, enable_model_summary=False)


def _package_of(value: object) -> str:
    """Return which of Lightning's two packages an object's class comes from."""
    roots = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    return "pytorch_lightning" if "pytorch_lightning" in roots else "lightning.pytorch"


def _import_from(package: str, name: str) -> Any:
    return import_module(f"{package}.{name}")
