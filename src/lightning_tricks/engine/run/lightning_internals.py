"""Every private name of Lightning and torch.distributed that the engine uses, each wrapped in a function."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel


def logs_now(trainer: Any) -> bool:
    """Return whether the Trainer passes the values logged in this batch to its loggers; a dry run always does."""
    return bool(trainer._logger_connector.should_update_logs or trainer.fast_dev_run)


def logged_step(trainer: Any) -> int:
    """Return the step under which Lightning hands what a module logs to the loggers: batches after which it stepped."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def rebuild_ddp_wrapper(trainer: Any) -> None:
    """Rebuild the DDP wrapper, which checks only at construction which parameters need gradients."""
    strategy = trainer.strategy
    if isinstance(strategy.model, DistributedDataParallel):
        module = strategy.model.module
        strategy.model = None  # also removes the old wrapper's hooks
        strategy.model = strategy._setup_model(module)
        strategy._register_ddp_hooks()


def ddp_comm_state(trainer: Any) -> Any:
    """Return the state of DDP's communication hook; ``None`` if there is none."""
    return getattr(trainer.strategy, "_ddp_comm_state", None)


def train_loader(trainer: Any) -> Any:
    """Return the combined training loader of a run; ``None`` before it is set up."""
    return trainer.fit_loop._combined_loader


def set_up_training_loader(trainer: Any) -> None:
    """Set up the training loader now, if necessary; the training loop then reuses it."""
    trainer.fit_loop.setup_data()


def owner_of_batch_hook(trainer: Any) -> Any:
    """Return the module or the data module, depending on whose ``on_after_batch_transfer`` is called."""
    return trainer._data_connector._datahook_selector.get_instance("on_after_batch_transfer")


def loaded_checkpoint(trainer: Any) -> dict[str, Any]:
    """Return the checkpoint that is being loaded."""
    checkpoint: dict[str, Any] = trainer._checkpoint_connector._loaded_checkpoint
    return checkpoint


def val_loader(trainer: Any) -> Any:
    """Return the combined validation loader of a run; ``None`` before it is set up."""
    return trainer.fit_loop.epoch_loop.val_loop._combined_loader


def step_arguments(trainer: Any, batch: Any, batch_idx: int) -> int:
    """Return how many of the arguments ``(batch, batch_idx)`` the module's ``training_step`` takes."""
    return len(trainer.fit_loop.epoch_loop._build_kwargs(OrderedDict(), batch, batch_idx))


def lightning_optimizer(trainer: Any) -> tuple[Any, Any]:
    """Return Lightning's wrapper of the first optimizer, through which it steps, and the optimizer itself."""
    wrapper = trainer.strategy._lightning_optimizers[0]
    return wrapper, wrapper._optimizer


def to_device(trainer: Any, module: Any, batch: Any) -> Any:
    """Return a batch on its device, after all transfer hooks."""
    batch = module._on_before_batch_transfer(batch, dataloader_idx=0)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def clone_loader(combined: Any) -> Any:
    """Return a copy of a combined loader that shares its data and sampler, but not its iterator or workers.

    Raises:
        TypeError: a loader cannot be copied, such as a generator, which can be read only once.
    """
    own = copy.copy(combined)
    own._iterator = None
    own.flattened = [copy.copy(loader) for loader in combined.flattened]
    for loader in own.flattened:
        if hasattr(loader, "_iterator"):
            loader._iterator = None
    return own


def shutdown_loader(own: Any) -> None:
    """End the workers of a loader that :func:`clone_loader` made."""
    for loader in own.flattened:
        iterator: Any = getattr(loader, "_iterator", None)
        if hasattr(iterator, "_shutdown_workers"):
            iterator._shutdown_workers()
    own._iterator = None


def validation_arguments(trainer: Any, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Return the arguments of the hooks around a validation step of the first loader."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    several = loop._is_sequential and loop.num_dataloaders > 1
    arguments: dict[str, Any] = loop._build_kwargs(batch, batch_idx, 0 if several else None)
    return arguments


def validation_step_arguments(trainer: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of ``validation_step``, given those of the hooks around it."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    found: tuple[Any, ...] = loop._build_step_args_from_hook_kwargs(arguments, "validation_step")
    return found


def default_process_group() -> Any:
    """Return the default group of collective calls."""
    world: Any = torch.distributed.distributed_c10d
    return world._get_default_group()


def set_default_process_group(group: Any) -> None:
    """Set the default group of collective calls."""
    world: Any = torch.distributed.distributed_c10d
    world._update_default_pg(group)


def validate_next(trainer: Any) -> Callable[[], None]:
    """Make the training loop run a validation after this batch.

    Returns:
        A function that withdraws the request if it was not served.
    """
    loop = trainer.fit_loop.epoch_loop

    def withdraw() -> None:
        vars(loop).pop("_should_check_val_fx", None)

    def once(data_fetcher: Any) -> bool:
        withdraw()
        return True

    loop._should_check_val_fx = once
    return withdraw


def is_lightnings(early_stopping: Any) -> bool:
    """Return whether an object has the attributes of Lightning's ``EarlyStopping``."""
    return all(hasattr(early_stopping, name) for name in ("monitor", "mode", "patience", "_check_on_train_epoch_end"))


def checks_at_epoch_end(early_stopping: Any) -> bool:
    """Return whether an ``EarlyStopping`` of Lightning's checks at the end of training epochs, not of validations."""
    return bool(early_stopping._check_on_train_epoch_end)
