"""Resized loader: the training loader of a run with another batch size, over the same dataset and sampler."""

import copy
import math
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch.utils.data import BatchSampler, DataLoader

from lightning_tricks.engine.trial.run_snapshot import loaders_of

_CURE = "Give a DataLoader with a `batch_size`."


def batch_size_of(trainer: Trainer) -> int:
    """Return the batch size of a run's training loader, in rows per process.

    Raises:
        MisconfigurationException: its batch size cannot be changed.
    """
    loaders = loaders_of(trainer, validates=False)
    sizes = {_size_of(loader) for loader in loaders}
    if len(sizes) != 1:
        raise MisconfigurationException(
            f"The training loaders have batches of {', '.join(map(str, sorted(sizes)))} rows, so there is no common "
            f"batch size to change. Compare sizes with loaders of the same size, or with one of them."
        )
    return sizes.pop()


def rows_of(trainer: Trainer) -> int | None:
    """Return the number of rows that this process reads in one pass over its training data; ``None`` if unknown."""
    counts = [_rows_of(loader) for loader in loaders_of(trainer, validates=False)]
    known = [count for count in counts if count is not None]
    limit = trainer.num_training_batches * batch_size_of(trainer)
    found = min([*known, limit])
    return None if math.isinf(found) else int(found)


def set_batch_size_(combined: Any, size: int) -> None:
    """Set another batch size for the loaders of a cloned combined loader; sampler and dataset are shared."""
    for loader in combined.flattened:
        sampler = loader.batch_sampler
        if type(sampler) is BatchSampler:
            own = BatchSampler(sampler.sampler, size, sampler.drop_last)
        else:
            own = copy.copy(sampler)
            own.batch_size = size
        vars(loader).update(batch_sampler=own, batch_size=size)  # a DataLoader does not allow setting them


def _size_of(loader: Any) -> int:
    if not isinstance(loader, DataLoader):
        raise MisconfigurationException(
            f"The training loader is a {type(loader).__name__}, whose batch size cannot be changed. {_CURE}"
        )
    size = getattr(loader.batch_sampler, "batch_size", None)
    if isinstance(size, bool) or not isinstance(size, int):
        maker = "its dataset" if loader.batch_sampler is None else type(loader.batch_sampler).__name__
        raise MisconfigurationException(
            f"The batches of the training loader are made by {maker}, which has no `batch_size` to change. {_CURE}"
        )
    return size


def _rows_of(loader: Any) -> int | None:
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    try:
        return len(sampler)
    except (TypeError, NotImplementedError):  # an iterable-style dataset
        return None
