"""Read data: the attributes of a loader and the leaves of a batch."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from lightning_tricks.doctor.facts.evidence import BatchFacts, LeafFact, LoaderFact
from lightning_tricks.doctor.reading.containers import packed_in, walk_batch
from lightning_tricks.doctor.reading.find_repeats import find_repeats
from lightning_tricks.doctor.reading.measure_tensors import describe
from lightning_tricks.doctor.reading.read_columns import read_columns

_SAMPLES = 4


def first_loader(loaders: Any) -> Any:
    """Return the first loader of anything that Lightning accepts: a loader, a list, a dict or a ``CombinedLoader``."""
    loaders = getattr(loaders, "iterables", loaders)
    if isinstance(loaders, Mapping):
        loaders = list(loaders.values())
    if isinstance(loaders, (list, tuple)):
        return first_loader(loaders[0]) if loaders else None
    return loaders


def first_batch(loaders: Any) -> Any:
    """Return the first batch of a step; for several loaders, one of each in the same structure.

    Raises:
        StopIteration: one of them is empty.

    Example:
        >>> first_batch({"a": iter([1, 2]), "b": [iter([3])]})
        {'a': 1, 'b': [3]}
    """
    if getattr(loaders, "_mode", None) == "sequential":  # a CombinedLoader, one loader after another
        return next(iter(first_loader(loaders)))
    loaders = getattr(loaders, "iterables", loaders)
    if isinstance(loaders, Mapping):
        return {key: first_batch(loader) for key, loader in loaders.items()}
    if isinstance(loaders, (list, tuple)):
        if not loaders:
            raise StopIteration
        return [first_batch(loader) for loader in loaders]
    return next(iter(loaders))


def read_loader(loader: Any) -> LoaderFact:
    """Return the facts about a loader that do not require reading from it.

    The attributes of a loader with a custom iterator, or of one that wraps other loaders, do not describe what it
    yields, so they count as unknown.
    """
    dataset = getattr(loader, "dataset", None)
    own = not isinstance(loader, DataLoader) or type(loader).__iter__ is not DataLoader.__iter__
    iterable = own or isinstance(dataset, IterableDataset)
    sampler = None if iterable else _sampler(loader)
    return LoaderFact(
        kind=type(loader).__name__,
        dataset=type(dataset).__name__,
        rows=None if own else _length(dataset),
        batches=_length(loader),
        batch_size=None if own else _batch_size(loader),
        sampler=None if sampler is None else type(sampler).__name__,
        shuffles=_shuffles(sampler),
        drop_last=not own and bool(getattr(loader, "drop_last", False)),
        iterable=iterable,
        weights=len(sampler.weights) if isinstance(sampler, WeightedRandomSampler) else None,
    )


def _sampler(loader: Any) -> Any:
    """Return the object that determines the order of the rows: a user-defined batch sampler, or the sampler."""
    batch_sampler = loader.batch_sampler
    if batch_sampler is None:
        return loader.sampler
    return batch_sampler.sampler if type(batch_sampler) is BatchSampler else batch_sampler


def _batch_size(loader: Any) -> int | None:
    size: int | None = loader.batch_size
    if size is None and type(loader.batch_sampler) is BatchSampler:
        size = loader.batch_sampler.batch_size
    return size


def agrees(loader: LoaderFact, batch: BatchFacts) -> bool:
    """Return whether any part of a batch has as many rows as the loader's batch size."""
    size = loader.batch_size
    if size is None or (loader.rows is not None and loader.rows < size):
        return True
    return any(leaf.tensor.shape[:1] == (size,) for leaf in batch.leaves if leaf.tensor is not None)


def _length(sized: Any) -> int | None:
    try:
        return len(sized)
    except (TypeError, NotImplementedError):
        return None


def _shuffles(sampler: Any) -> bool | None:
    if isinstance(sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
        return True
    if isinstance(sampler, DistributedSampler):
        return bool(sampler.shuffle)
    return False if isinstance(sampler, SequentialSampler) else None


def read_batch(batch: Any) -> BatchFacts:
    """Return the facts about a batch.

    Example:
        >>> import torch
        >>> facts = read_batch({"x": torch.zeros(4, 2), "y": torch.tensor([0, 1, 1, 0]), "id": "a"})
        >>> facts.size, [leaf.path for leaf in facts.leaves]
        (4, ['x', 'y', 'id'])
    """
    found = list(walk_batch(batch))
    leaves = tuple(_read_leaf(path, leaf) for path, leaf in found)
    packed = {id(part) for sequence in packed_in(batch) for part in sequence}  # their rows are steps, not samples
    rows = (leaf.tensor for leaf, (_, value) in zip(leaves, found, strict=True) if id(value) not in packed)
    sizes = Counter(tensor.shape[0] for tensor in rows if tensor and tensor.shape)
    size = sizes.most_common(1)[0][0] if sizes else None
    tensors = [(path, leaf) for path, leaf in found if isinstance(leaf, Tensor)]
    return BatchFacts(type(batch).__name__, leaves, size, tuple(find_repeats(tensors)))


def _read_leaf(path: str, value: Any) -> LeafFact:
    if not isinstance(value, Tensor):
        return LeafFact(path, type(value).__name__)
    return LeafFact(path, type(value).__name__, describe(value), read_columns(value), _has_same_rows(value))


def _has_same_rows(value: Tensor) -> bool:
    if value.is_sparse or value.is_nested or value.is_meta or value.dim() < 2 or len(value) < _SAMPLES:
        return False
    return value[0].numel() > 1 and bool((value == value[:1]).all())
