"""Loader pass: read the training loader of a run once before training, and restore its state."""

import math
from collections.abc import Iterator
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.engine.run.lightning_internals import (
    clone_loader,
    set_up_training_loader,
    shutdown_loader,
    to_device,
    train_loader,
)
from lightning_tricks.engine.trial.run_snapshot import loaders_of, position_of, refuse_unrestorable, remember_loader
from lightning_tricks.engine.trial.trial_progress import progress_of


def read_once(trainer: Trainer, pl_module: LightningModule, name: str, limit: int | None = None) -> Iterator[Any]:
    """Yield the training batches of this process, on their device.

    The batches pass through the same hooks as training batches. Samplers, datasets, loaders and the global generators
    are restored afterwards.

    Args:
        trainer: a fitting Trainer.
        pl_module: its module.
        name: label of the progress bar.
        limit: maximum number of batches; ``None``: as many as training reads.
    """
    set_up_training_loader(trainer)
    own = _clone(trainer)
    restore_random = remember_random_state()
    memory, loaders = ObjectSnapshot(), loaders_of(trainer, validates=False)
    positions = [position_of(loader) for loader in loaders]
    for loader in loaders:
        remember_loader(memory, loader)
    refuse_unrestorable(memory)
    total = min(trainer.num_training_batches, math.inf if limit is None else limit)
    try:
        with progress_of(trainer, name, 0 if math.isinf(total) else int(total)) as show:
            for batch, batch_idx, _ in own if total else ():
                if batch is not None:
                    yield to_device(trainer, pl_module, trainer.precision_plugin.convert_input(batch))
                show(batch_idx + 1)
                if batch_idx + 1 >= total:
                    break
    finally:
        shutdown_loader(own)
        memory.restore_()
        for loader, before in zip(loaders, positions, strict=True):
            if before is not None and position_of(loader) != before:
                loader.load_state_dict(before)
        restore_random()


def _clone(trainer: Trainer) -> Any:
    try:
        return clone_loader(train_loader(trainer))
    except TypeError as error:
        raise MisconfigurationException(
            f"The training loader can be read only once ({error}), so its rows cannot be measured before training. "
            f"Return a DataLoader or a list, not a generator, or build a fitted `InputNormalizer` into the model."
        ) from error


def count_own_rows(trainer: Trainer) -> float:
    """Return the number of this process's rows, in loader order, that no other process has.

    A distributed sampler repeats rows of the dataset until all processes have the same number: the last rows of some.
    """
    loaders = loaders_of(trainer, validates=False)
    if len(loaders) != 1 or not isinstance(loaders[0], DataLoader):
        return math.inf
    sampler, batch_sampler = loaders[0].sampler, loaders[0].batch_sampler
    if not isinstance(sampler, DistributedSampler) or sampler.drop_last or type(batch_sampler) is not BatchSampler:
        return math.inf
    return max(0, math.ceil((len(sampler.dataset) - sampler.rank) / sampler.num_replicas))  # type: ignore[arg-type]
