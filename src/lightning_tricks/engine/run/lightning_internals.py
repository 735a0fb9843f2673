"""Every private name of Lightning's that the library uses, each behind a function that says what it is for."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch.nn.parallel import DistributedDataParallel


def logs_now(trainer: Any) -> bool:
    """Return whether the Trainer hands what this batch logs to its loggers; a dry run always does."""
    return bool(trainer._logger_connector.should_update_logs or trainer.fast_dev_run)


def wrap_again(trainer: Any) -> None:
    """Build the DDP wrapper anew, if there is one: it asks once, when it is built, which parameters need gradients."""
    strategy = trainer.strategy
    if isinstance(strategy.model, DistributedDataParallel):
        module = strategy.model.module
        strategy.model = None  # the old wrapper's hooks go with it
        strategy.model = strategy._setup_model(module)
        strategy._register_ddp_hooks()


def ddp_comm_state(trainer: Any) -> Any:
    """Return the state of DDP's communication hook, ``None`` if there is none."""
    return getattr(trainer.strategy, "_ddp_comm_state", None)


def train_loader(trainer: Any) -> Any:
    """Return the combined training loader of a run, ``None`` before it is set up."""
    return trainer.fit_loop._combined_loader


def val_loader(trainer: Any) -> Any:
    """Return the combined validation loader of a run, ``None`` before it is set up."""
    return trainer.fit_loop.epoch_loop.val_loop._combined_loader


def step_arguments(trainer: Any, batch: Any, batch_idx: int) -> int:
    """Return how many of ``(batch, batch_idx)`` the module's ``training_step`` takes."""
    return len(trainer.fit_loop.epoch_loop._build_kwargs(OrderedDict(), batch, batch_idx))


def lightning_optimizer(trainer: Any) -> Any:
    """Return Lightning's wrapper of the first optimizer, through which automatic optimization steps."""
    return trainer.strategy._lightning_optimizers[0]


def validate_next(trainer: Any) -> Callable[[], None]:
    """Have the training loop find, after this batch, that a validation is due.

    Returns:
        A function that takes the request back if it was not served.
    """
    loop = trainer.fit_loop.epoch_loop

    def withdraw() -> None:
        vars(loop).pop("_should_check_val_fx", None)

    def once(data_fetcher: Any) -> bool:
        withdraw()
        return True

    loop._should_check_val_fx = once
    return withdraw
