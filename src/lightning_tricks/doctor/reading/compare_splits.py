"""Compare splits: read rows of the training and the validation set and measure how they differ."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lightning_tricks.doctor.facts.context_facts import ShiftFact, SplitFacts
from lightning_tricks.doctor.reading.containers import walk_batch
from lightning_tricks.doctor.reading.read_rows import Row, split_row

_ROWS, _FEWEST, _SECONDS = 256, 16, 0.05
_COLORS = (1, 3, 4)


def compare_splits(train: Any, val: Any) -> SplitFacts | str:
    """Return the differences between the rows of two loaders, or the reason why they are unknown.

    Rows are read from the datasets and combined by each loader's ``collate_fn``; no worker is started.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> x, y = torch.arange(64.0)[:, None], torch.arange(64) % 2
        >>> found = compare_splits(DataLoader(TensorDataset(x, y)), DataLoader(TensorDataset(10 * x, y + 1)))
        >>> round(found.shifts[0].ratio), found.unknown
        (10, 0.5)
    """
    if train is None or val is None:
        return "no validation loader was given" if train is not None else "no training loader was given"
    try:
        first, second = _draw(train), _draw(val)
    except Exception as error:  # datasets and collate functions are user code
        return f"rows of the two sets could not be read: {type(error).__name__}: {error}"
    if first is None or second is None:
        return "a dataset is iterable-style, or has too few rows"
    (inputs, targets), (val_inputs, val_targets) = split_row(first), split_row(second)
    count = len(first[0][1]), len(second[0][1])
    train_classes, val_classes = _classes(targets), _classes(val_targets)
    unknown = ~torch.isin(val_classes, train_classes) if len(train_classes) and len(val_classes) else torch.zeros(1)
    return SplitFacts(
        rows=count,
        shifts=tuple(_shifts(inputs, dict(val_inputs))),
        train_classes=tuple(sorted(set(train_classes.tolist()))),
        val_classes=tuple(sorted(set(val_classes.tolist()))),
        unknown=float(unknown.float().mean()),
    )


def _draw(loader: Any) -> Row | None:
    """Return evenly spaced rows as one batch, as many as can be read in 0.05 seconds."""
    dataset, collate = getattr(loader, "dataset", None), getattr(loader, "collate_fn", None)
    if dataset is None or isinstance(dataset, IterableDataset) or collate is None or not hasattr(dataset, "__len__"):
        return None
    count, rows = len(dataset), []
    end = time.monotonic() + _SECONDS
    for place in torch.randperm(min(count, _ROWS)).tolist():  # spread over the whole set
        rows.append(dataset[place * count // min(count, _ROWS)])
        if time.monotonic() > end:
            break
    if len(rows) < _FEWEST:
        return None
    leaves = [(path, leaf) for path, leaf in walk_batch(collate(rows)) if isinstance(leaf, Tensor) and leaf.dim()]
    return [(path, leaf) for path, leaf in leaves if len(leaf) == len(rows)] or None


def _classes(targets: Row) -> Tensor:
    """Return the class of each row; empty if targets are not classes."""
    none = torch.zeros(0, dtype=torch.int64)
    if len(targets) != 1:
        return none
    labels: Tensor = targets[0][1]
    if labels.is_floating_point() or labels.dtype is torch.bool or labels.numel() != len(labels):
        return none
    return labels.flatten().long() if len(set(labels.flatten().tolist())) <= max(2, len(labels) // 5) else none


def _shifts(inputs: Row, others: dict[str, Any]) -> Iterator[ShiftFact]:
    for path, first in inputs:
        second = others.get(path)
        if second is None or first.shape[1:] != second.shape[1:] or not first.numel():
            continue
        if all(each.is_floating_point() or each.dtype is torch.uint8 for each in (first, second)):
            yield _shift(path, _columns(first), _columns(second))


def _columns(values: Tensor) -> Tensor:
    """Return ``(C, rows)``: features of tables, channels of images, anything else as one column."""
    values = values.float().nan_to_num()
    if values.dim() == 4:
        return values.movedim(3 if values.shape[3] in _COLORS and values.shape[1] not in _COLORS else 1, 0).flatten(1)
    return values.T if values.dim() == 2 else values.reshape(1, -1)


def _shift(path: str, first: Tensor, second: Tensor) -> ShiftFact:
    (std, mean), (val_std, val_mean) = (torch.std_mean(each, 1, correction=0) for each in (first, second))
    varies = std > 1e-6 * mean.abs().clamp_min(1e-6)
    scale = torch.where(varies, std, torch.ones(()))
    distance = ((val_mean - mean) / scale).abs()
    turned = ((val_mean.flip(0) - mean) / scale).abs()
    is_turned = (
        len(mean) == 3 and bool(varies.all()) and bool(distance.max() > 0.2 and turned.max() < distance.max() / 4)
    )
    kept = varies if bool(varies.any()) else torch.ones_like(varies)
    return ShiftFact(
        path=path,
        shift=float(distance[kept].median()),
        ratio=float((val_std / scale)[kept].median()) if bool(varies.any()) else 1.0,
        means=(float(first.mean()), float(second.mean())),
        stds=(float(first.std()), float(second.std())),
        negatives=(float((first < 0).float().mean()), float((second < 0).float().mean())),
        reversed=is_turned,
    )
