"""Cached batches: read a loader's batches, one range of rows at a time, and call a model on them."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler, Subset

from lightning_tricks.core.arguments import shown_with_type
from lightning_tricks.core.object_snapshot import seed_random_state
from lightning_tricks.functional.layer_output import layer_output

_LABELS = frozenset({"label", "labels", "target", "targets", "y"})
"""Entries of a mapping that are stored but never passed to the backbone."""


def check_loader(loader: Any) -> None:
    """Raise an error unless a loader reads a map-style dataset in order, in batches.

    Raises:
        TypeError: the loader is not a ``DataLoader``, or its dataset is iterable-style.
        ValueError: the rows are in another order, or there are no batches or no rows.
    """
    way_out = "Give `DataLoader(dataset, batch_size=...)`, without `shuffle` and `sampler`"
    if not isinstance(loader, DataLoader):
        raise TypeError(f"`loader` must be a DataLoader, got {shown_with_type(loader)}. {way_out}.")
    if isinstance(loader.dataset, IterableDataset):
        raise TypeError(f"`loader` must read a map-style dataset, got an iterable-style one. {way_out}.")
    if loader.batch_size is None or type(loader.batch_sampler) is not BatchSampler:
        raise ValueError(f"`loader` must return batches of `batch_size` rows. {way_out}.")
    if type(loader.sampler) is not SequentialSampler:
        raise ValueError(
            f"`loader` must keep the dataset's order, so that row i of the cache is row i of the dataset; it has a "
            f"{type(loader.sampler).__name__}. {way_out}; shuffle the loader of the cache instead, and let "
            f"`cache_features` distribute rows over processes."
        )
    if len(loader) == 0:
        raise ValueError(f"`loader` must have at least one batch, got none of {len(loader.dataset)} rows.")  # type: ignore[arg-type]


def rows_of(loader: "DataLoader[Any]") -> int:
    """Return the number of rows in a pass through the loader."""
    count = len(loader.dataset)  # type: ignore[arg-type]
    return count - count % _batch_size(loader) if loader.drop_last else count


def _batch_size(loader: "DataLoader[Any]") -> int:
    assert loader.batch_size is not None
    return loader.batch_size


def read_batches(loader: "DataLoader[Any]", rows: list[int], seed: int) -> Iterator[Any]:
    """Read these rows in batches of the loader's size, with its workers and `collate_fn`.

    The global generators start from ``seed``, also in workers, so that augmentation repeated after an interruption is
    the same, and different in each pass.
    """
    seed_random_state(seed)
    options: dict[str, Any] = {"prefetch_factor": loader.prefetch_factor} if loader.num_workers else {}
    yield from DataLoader(
        Subset(loader.dataset, rows),
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def rows_to_cache(model: nn.Module, layer: str | None, batch: Any) -> dict[str, Tensor]:
    """Return the stored parts of a batch, by name: first the model's features, then the other parts.

    Raises:
        TypeError: parts are not tensors, or the model cannot be called with the inputs of the batch.
        ValueError: the first dimension of a part differs from that of the features, or features are not finite.
    """
    args, kwargs, others = split_batch(model, batch)
    count = _count_rows([*args, *kwargs.values()])
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    args, kwargs = [_moved(value, device) for value in args], {key: _moved(kwargs[key], device) for key in kwargs}
    with torch.no_grad():
        features = layer_output(model, layer, *args, **kwargs).detach()
    if features.ndim == 0 or (count is not None and len(features) != count):
        raise ValueError(
            f"The features must have one row per row of the batch, {count}, got shape {tuple(features.shape)}; use "
            f"`layer` to name a layer before rows are reduced."
        )
    if features.is_floating_point() and not bool(features.isfinite().all()):
        raise ValueError("The features must be finite, got NaN or infinity; check the model with `diagnose`.")
    stored = {"features": features, **others}
    for name, value in stored.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"Part `{name}` of a batch must be a tensor, got {type(value).__name__}; drop or convert it in the "
                "loader's `collate_fn`."
            )
        if value.ndim == 0 or len(value) != len(features):
            raise ValueError(
                f"Part `{name}` of a batch must have {len(features)} rows, got shape {tuple(value.shape)}."
            )
    return stored


def split_batch(model: nn.Module, batch: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Return the model's positional and keyword arguments, and the parts of the batch that are stored.

    Raises:
        TypeError: the model needs more than the batch contains.
    """
    if isinstance(batch, Mapping):
        parameters = _parameters(model)
        inputs = {key: batch[key] for key in batch if key in parameters and key not in _LABELS}
        needed = [name for name, has_default in parameters.items() if not has_default and name not in inputs]
        if needed or not inputs:
            raise TypeError(
                f"`forward` of {type(model).__name__} needs {', '.join(needed) or 'none of the entries'}, but the "
                f"batch has {', '.join(map(str, batch))} (labels are not passed to a backbone); wrap the model in a "
                f"module "
                "whose `forward` names the entries that it takes."
            )
        return [], inputs, {str(key): batch[key] for key in batch if key not in inputs}
    parts = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    if not parts:
        raise TypeError("A batch must have at least one part, got none.")
    needed = [name for name, has_default in _parameters(model).items() if not has_default]
    if len(needed) > 1:
        raise TypeError(
            f"`forward` of {type(model).__name__} needs {', '.join(needed)}, but receives only the first part of the "
            f"batch; wrap the model in a module that takes one input, without labels."
        )
    return parts[:1], {}, {str(i): part for i, part in enumerate(parts[1:], 1)}


def _parameters(model: nn.Module) -> dict[str, bool]:
    """Return the parameters of ``forward`` by name, and whether each has a default."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_ONLY)
    found = inspect.signature(model.forward).parameters.values()
    return {item.name: item.default is not inspect.Parameter.empty for item in found if item.kind in kinds}


def _count_rows(inputs: list[Any]) -> int | None:
    return next((len(value) for value in inputs if isinstance(value, Tensor) and value.ndim), None)


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if hasattr(value, "to") else value
