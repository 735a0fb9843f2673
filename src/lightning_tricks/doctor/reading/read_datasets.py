"""Read datasets: find what rows of the training and validation sets have in common."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from torch.utils.data import IterableDataset

from lightning_tricks.doctor.facts.context_facts import RowsFacts
from lightning_tricks.doctor.reading.read_rows import (
    Mark,
    UnreadableRowsError,
    are_windows,
    base_of,
    places_in_base,
    read_marks,
)

_ROWS, _VAL_ROWS, _CLASSES = 2048, 1024, 1000


def read_datasets(train: Any, val: Any = None) -> RowsFacts | str:
    """Return what rows of the datasets of two loaders have in common, or the reason why it is unknown.

    Example:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> rows, classes = torch.arange(40.0).view(20, 2), torch.arange(20) % 2
        >>> train, val = (DataLoader(TensorDataset(rows[:n], classes[:n])) for n in (20, 5))
        >>> facts = read_datasets(train, val)
        >>> facts.overlap, facts.duplicates, facts.classes
        (1.0, 0.0, {'0': 10, '1': 10})
    """
    dataset = getattr(train, "dataset", None)
    if train is None:
        return "no training loader was given"
    if dataset is None or isinstance(dataset, IterableDataset):
        return "the training data is iterable-style: only the batch was checked"
    count = _length(dataset)
    if not count:
        return f"the dataset, {type(dataset).__name__}, has no rows or no length"
    marks: list[Mark] | None = None
    try:
        marks = read_marks(dataset, _evenly_spaced(count, _ROWS), "training")
        facts = _facts_of_training_rows(marks, are_windows(dataset))
    except UnreadableRowsError as error:
        marks, facts = None, RowsFacts(0, reasons={"duplicates": str(error), "classes": str(error)})
    try:
        overlap = _overlap(dataset, val, marks, facts.reasons.get("duplicates", ""))
    except UnreadableRowsError as error:
        return replace(facts, reasons={**facts.reasons, "overlap": str(error)})
    return replace(facts, **overlap)


def _facts_of_training_rows(marks: list[Mark], windows: bool) -> RowsFacts:
    """Return what training rows have in common; the comparison with validation rows is added later."""
    labels = [mark.label for mark in marks]
    classes = Counter(str(label) for label in labels) if labels and None not in labels else None
    if classes is None or len(classes) > min(_CLASSES, max(2, len(labels) // 5)):
        classes = None
    return RowsFacts(
        read=len(marks),
        duplicates=1 - len({mark.whole for mark in marks}) / len(marks),
        classes=None if classes is None else dict(classes),
        target_variance=_error_of_constant(marks, statistics.pvariance),
        target_deviation=_error_of_constant(marks, _mean_deviation),
        sorted=classes is not None and len(classes) > 1 and _is_sorted_by_class(labels),
        windows=windows,
        reasons={} if classes is not None else {"classes": "the targets of the training set are not classes"},
    )


def _overlap(train: Any, val_loader: Any, marks: list[Mark] | None, problem: str) -> dict[str, Any]:
    """Return the facts about validation rows that are training rows."""
    val = getattr(val_loader, "dataset", None)
    if val is None or isinstance(val, IterableDataset) or not _length(val):
        raise UnreadableRowsError("there is no validation set with a length")
    if base_of(train) is base_of(val):
        places, known_places = set(places_in_base(val)), set(places_in_base(train))
        both = len(places & known_places)
        if both or marks is None:
            return {"overlap": both / len(places), "overlapping": both, "overlap_by": "indices"}
    if marks is None:
        raise UnreadableRowsError(problem)
    marks_of_val = read_marks(val, _evenly_spaced(len(val), _VAL_ROWS), "validation")
    return _overlap_of_contents(marks, {mark.inputs for mark in marks_of_val if not mark.blank}, len(train))


def _overlap_of_contents(marks: list[Mark], different: set[int], rows: int) -> dict[str, Any]:
    """Compare validation rows with the training rows that were read, of ``rows`` in all.

    n rows that are drawn from k equally likely ones hold about n² / 2k pairs of equal rows, and a further row is one of
    them with probability n / k: twice the share of repetitions.
    """
    known = {mark.inputs for mark in marks}
    found = len(different & known)
    filled = [mark.inputs for mark in marks if not mark.blank]
    repeated = 1 - len(set(filled)) / max(1, len(filled))
    share = found / len(different) if different else 0.0
    return {
        "overlap": min(1.0, share * rows / len(marks)),  # unread rows: the same share
        "overlapping": found,
        "by_chance": min(1.0, 2 * repeated) * len(different),
    }


def _error_of_constant(marks: list[Mark], error: Callable[[list[float]], float]) -> float | None:
    """Return the error of the best constant prediction of numeric targets, a mean over their columns."""
    targets = [mark.target for mark in marks]
    rows = [target for target in targets if target is not None and all(map(math.isfinite, target))]
    if len(rows) < 2 or len(rows) < len(targets) or len({len(row) for row in rows}) > 1:
        return None
    return statistics.fmean(error(list(column)) for column in zip(*rows, strict=True))


def _mean_deviation(values: list[float]) -> float:
    """Return the mean distance from the median."""
    center = statistics.median(values)
    return statistics.fmean(abs(value - center) for value in values)


def _length(dataset: Any) -> int:
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return 0


def _evenly_spaced(count: int, limit: int) -> range:
    return range(0, count, -(-count // limit))


def _is_sorted_by_class(labels: Sequence[Any]) -> bool:
    """Return whether the rows are sorted by class and there is more than one class."""
    changes = sum(label != other for label, other in pairwise(labels))
    return len(labels) >= 32 and 0 < changes == len(set(labels)) - 1
