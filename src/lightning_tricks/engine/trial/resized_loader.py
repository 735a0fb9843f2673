"""Resized loader: the training loader of a run with another batch size, over the same data set and sampler."""

import copy
import math
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch.utils.data import BatchSampler, DataLoader

from lightning_tricks.engine.trial.run_snapshot import loaders_of

_CURE = "Give a DataLoader with a `batch_size`."


def batch_size_of(trainer: Trainer) -> int:
    """Return the batch size of a run's training loader, in rows of one process.

    Raises:
        MisconfigurationException: its batches cannot be made in another size.
    """
    loaders = loaders_of(trainer, validates=False)
    sizes = {_size_of(loader) for loader in loaders}
    if len(sizes) != 1:
        raise MisconfigurationException(
            f"The training loaders have batches of {', '.join(map(str, sorted(sizes)))} rows, so that there is no one "
            "batch size to change. Compare sizes with loaders of the same size, or with one of them."
        )
    return sizes.pop()


def rows_of(trainer: Trainer) -> int | None:
    """Return how many rows this process reads in one pass over its training data, ``None`` if that is not known."""
    counts = [_rows_of(loader) for loader in loaders_of(trainer, validates=False)]
    known = [count for count in counts if count is not None]
    limit = trainer.num_training_batches * batch_size_of(trainer)
    found = min([*known, limit])
    return None if math.isinf(found) else int(found)


def set_batch_size_(combined: Any, size: int) -> None:
    """Have the loaders of a cloned combined loader make batches of another size; sampler and data set are shared."""
    for loader in combined.flattened:
        sampler = loader.batch_sampler
        if type(sampler) is BatchSampler:
            own = BatchSampler(sampler.sampler, size, sampler.drop_last)
        else:
            own = copy.copy(sampler)
            own.batch_size = size
        vars(loader).update(batch_sampler=own, batch_size=size)  # a DataLoader refuses to have them set


def _size_of(loader: Any) -> int:
    if not isinstance(loader, DataLoader):
        raise MisconfigurationException(
            f"The training loader is of {type(loader).__name__}, whose batches cannot be made in another size. {_CURE}"
        )
    size = getattr(loader.batch_sampler, "batch_size", None)
    if isinstance(size, bool) or not isinstance(size, int):
        maker = "its data set" if loader.batch_sampler is None else type(loader.batch_sampler).__name__
        raise MisconfigurationException(
            f"The batches of the training loader are made by {maker}, which has no `batch_size` to change. {_CURE}"
        )
    return size


def _rows_of(loader: Any) -> int | None:
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    try:
        return len(sampler)
    except (TypeError, NotImplementedError):  # a stream
        return None
