"""Trial fit: a fit that ends before its first step and restores the model, the Trainer and the random state."""

import logging
import signal
from importlib import import_module
from typing import Any, NoReturn

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core import rank_zero

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state, seed_random_state
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.engine.trial.run_snapshot import refuse_lazy, refuse_unrestorable
from lightning_tricks.engine.trial.trial_step import alters_steps


def run_trial_fit(
    name: str,
    trick: Trick,
    model: LightningModule,
    train_dataloaders: Any,
    val_dataloaders: Any,
    datamodule: Any,
    *,
    trainer: Trainer | None,
    epochs: int = 1,
    validates: bool,
    without: type[Trick],
    seed: int | None = None,
    alternative: str = "",
) -> None:
    """Start a fit in which a trick takes trial steps and then calls :func:`end_trial_fit`; restore everything.

    Args:
        name: the function that the user called, for messages.
        trick: the callback that acts in ``on_train_epoch_start``.
        model: as for ``Trainer.fit``.
        train_dataloaders: as for ``Trainer.fit``.
        val_dataloaders: as for ``Trainer.fit``.
        datamodule: as for ``Trainer.fit``.
        trainer: the Trainer of the planned training; by default one device and no callbacks.
        epochs: length of the training if no Trainer is given.
        validates: whether the trick also reads validation batches.
        without: tricks of the Trainer that are left inactive.
        seed: seed of the random generators during the trial.
        alternative: a further solution for strategies with other processes, for the message.

    Raises:
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the strategy uses other processes, or
            something cannot be restored; raised before anything is changed.
    """
    restore_random_state = remember_random_state()
    runner: Any = trainer or _plain_trainer(model, epochs)
    if "MultiProcessing" in type(runner.strategy.launcher).__name__:
        raise MisconfigurationException(
            f"`{name}` cannot return results from spawned or forked processes. Use one device, `strategy='ddp'`"
            f"{alternative}."
        )
    memory = ObjectSnapshot(enter=("lightning", "pytorch_lightning"))
    memory.leave_out(*runner.loggers)
    refuse_lazy(model)
    memory.remember(train_dataloaders, datamodule, tensors=False)
    memory.remember(model)
    refuse_unrestorable(memory)
    memory.remember(val_dataloaders, tensors=False)
    if trainer is not None:  # a plain one is not used again
        memory.remember(trainer)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        _prepare_trainer(runner, trick, without, validates)
        if seed is not None:
            seed_random_state(seed)
        runner.fit(model, train_dataloaders, val_dataloaders, datamodule=datamodule)
    finally:
        if interrupt is not None and signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)  # an interrupted Trainer ignores it
        try:
            memory.restore_()
        finally:
            restore_random_state()


def end_trial_fit(trainer: Trainer) -> NoReturn:
    """End the fit as Lightning's own tuner does, without an error for the user."""
    raise _import_from(_package_of(trainer), "utilities.exceptions")._TunerExitException


def _prepare_trainer(trainer: Any, trick: Trick, without: type[Trick], validates: bool) -> None:
    """Keep only the callbacks that change a step, not those that write or stop; only trials validate."""
    stay = [cb for cb in trainer.callbacks if alters_steps(cb) or isinstance(cb, Trick)]
    bar = [cb for cb in trainer.callbacks if cb is trainer.progress_bar_callback]
    trainer.callbacks = [*(cb for cb in stay if not isinstance(cb, without)), trick, *bar]
    trainer.loggers = []
    trainer.num_sanity_val_steps = 0
    if not validates:
        trainer.limit_val_batches = 0
    elif trainer.check_val_every_n_epoch is not None:  # prepare its validation loader
        trainer.check_val_every_n_epoch = 1
    trainer.fast_dev_run = trainer.should_stop = False
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch:  # it has been fitted before
        trainer.fit_loop.max_epochs = trainer.current_epoch + 1
    if 0 <= trainer.max_steps <= trainer.global_step:
        trainer.fit_loop.epoch_loop.max_steps = -1


def _plain_trainer(model: LightningModule, epochs: int) -> Any:
    """Return a Trainer with one device, without the usual log messages about devices and services."""
    kind = _import_from(_package_of(model), "trainer").Trainer
    level = rank_zero.log.level
    rank_zero.log.setLevel(logging.WARNING)
    try:
        return kind(devices=1, max_epochs=epochs, logger=False, enable_checkpointing=False, enable_model_summary=False)
    finally:
        rank_zero.log.setLevel(level)


def _package_of(value: object) -> str:
    """Return which of Lightning's two packages the class of an object comes from."""
    roots = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    return "pytorch_lightning" if "pytorch_lightning" in roots else "lightning.pytorch"


def _import_from(package: str, name: str) -> Any:
    return import_module(f"{package}.{name}")
