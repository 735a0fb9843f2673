"""Run snapshot: record everything that training steps change in memory, and restore it exactly."""

from collections.abc import Sequence
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.parameter import is_lazy

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.engine.batch.batch_pipeline import objects_acting_on
from lightning_tricks.engine.run.lightning_internals import owner_of_batch_hook, train_loader, val_loader
from lightning_tricks.functional.resharding import reshard_


class RunSnapshot:
    """The state of a run at one moment after training is set up.

    It contains weights, all buffers, gradients, modes and attributes of the module (metrics, recurrent states,
    counters), optimizers with the state of their first step, schedulers, the scaler, the random generators of python,
    numpy, torch and the device, and samplers, datasets and loaders with their generators. It copies parameters, buffers
    and optimizer state once, and no data.

    Args:
        trainer: a fitting Trainer, between two steps.
        pl_module: its module.
        callbacks: the callbacks that take part in the coming steps.
        validates: whether validation loaders will be read too; otherwise their positions are not recorded.

    Raises:
        lightning.pytorch.utilities.exceptions.MisconfigurationException: a parameter is not initialized, or something
            that a step may advance, such as a generator, cannot be restored. Nothing has been changed.
    """

    def __init__(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        callbacks: Sequence[Callback] = (),
        validates: bool = False,
    ) -> None:
        refuse_lazy(pl_module)
        self._module = pl_module
        self._random = remember_random_state()
        self._memory = ObjectSnapshot()
        self._loaders = loaders_of(trainer, validates)
        self._positions = [position_of(loader) for loader in self._loaders]
        reshard_(pl_module)
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        # schedulers detect by its version whether another writer changed such a tensor
        self._memory.leave_out(*[group["lr"] for group in groups if isinstance(group["lr"], Tensor)])
        for loader in self._loaders:
            remember_loader(self._memory, loader)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        acting = objects_acting_on(owner_of_batch_hook(trainer))  # tricks that augment batches count their draws
        self._memory.remember(pl_module, *trainer.optimizers, *schedulers, scaler, *acting, *callbacks)
        refuse_unrestorable(self._memory)

    def restore_(self) -> None:
        """Restore everything; can be called repeatedly."""
        reshard_(self._module)
        self._memory.restore_()
        for loader, before in zip(self._loaders, self._positions, strict=True):
            # compared first, because loading a position may be expensive (skipping all items before it)
            if before is not None and position_of(loader) != before:
                loader.load_state_dict(before)
        self._random()


def refuse_lazy(pl_module: LightningModule) -> None:
    """Raise an error for a module whose first forward pass creates parameters, which a trial could not undo.

    Raises:
        MisconfigurationException: there are such parameters or buffers.
    """
    tensors = [*pl_module.named_parameters(), *pl_module.named_buffers()]
    lazy = [name for name, tensor in tensors if is_lazy(tensor)]
    if lazy:
        raise MisconfigurationException(
            f"A trial of the training cannot restore uninitialized (lazy) parameters: {', '.join(lazy[:6])}. Call the "
            f"module on one batch first, or build it with explicit layer sizes."
        )


def refuse_unrestorable(memory: ObjectSnapshot) -> None:
    """Raise an error for objects of a run that cannot be restored.

    Raises:
        MisconfigurationException: there are such objects.
    """
    if memory.unrestorable:
        raise MisconfigurationException(
            f"{', '.join(memory.unrestorable[:6])} can be read only once, so items that a trial takes are lost. Give a "
            f"DataLoader, a list, or an object that returns a new iterator whenever it is iterated; create a module's "
            f"iterator when an epoch starts; or set the learning rate manually."
        )


def loaders_of(trainer: Trainer, validates: bool) -> list[Any]:
    """Return the training loaders of a run, and the validation loaders if it validates."""
    of_training, of_validation = train_loader(trainer), val_loader(trainer)
    loaders = [] if of_training is None else list(of_training.flattened)
    if validates and of_validation is not None:  # trials do not touch the iterators of the validation itself
        loaders += [loader for loader in of_validation.flattened if not hasattr(loader, "__next__")]
    return loaders


def remember_loader(memory: ObjectSnapshot, loader: Any) -> None:
    """Record what reading a loader changes: samplers, generators and counters of its dataset, but not the data."""
    parts = [getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset", "generator")]
    memory.remember(loader, *parts, tensors=False)


def position_of(loader: Any) -> Any:
    """Return the position of a loader if it can be resumed."""
    if hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"):
        return loader.state_dict()
    return None
