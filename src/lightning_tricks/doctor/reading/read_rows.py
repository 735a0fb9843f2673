"""Read rows: hashes of dataset rows, so that rows can be compared and counted without keeping them."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from lightning_tricks.doctor.facts.roles import TARGET_NAMES
from lightning_tricks.doctor.reading.containers import walk_batch

_SECONDS = 0.25
_MAX_TARGETS = 16

Row = list[tuple[str, Any]]


class UnreadableRowsError(Exception):
    """Rows cannot be read or compared; the message contains the reason."""


class Mark(NamedTuple):
    """Hashes of a row.

    Attributes:
        whole: a hash of the whole row.
        inputs: a hash of its inputs.
        label: its class, if its target is one whole number.
        target: its target, if it is a few numbers.
        blank: whether its inputs repeat a single value, because masked or empty rows are necessarily equal.
    """

    whole: int
    inputs: int
    label: int | None
    target: tuple[float, ...] | None
    blank: bool


def read_marks(dataset: Any, indices: Sequence[int], name: str) -> list[Mark]:
    """Read rows, for at most 0.25 seconds, and return their hashes.

    Raises:
        UnreadableRowsError: the rows cannot be read or compared.
    """
    marks: list[Mark] = []
    end = time.monotonic() + _SECONDS
    for row in _rows(dataset, indices, name):
        marks.append(mark(row))
        if len(marks) == 1 and marks[0] != mark(next(_rows(dataset, indices, name))):
            raise UnreadableRowsError(
                f"a row of the {name} set differs from one reading to the next (random augmentation?)"
            )
        if time.monotonic() > end:
            break
    return marks


def mark(row: Row) -> Mark:
    """Return the hashes of a row.

    Example:
        >>> one, other = [("0", torch.ones(2)), ("1", 0)], [("0", torch.ones(2)), ("1", 1)]
        >>> mark(one).inputs == mark(other).inputs, mark(one).whole == mark(other).whole, mark(other).label
        (True, False, 1)
    """
    inputs, targets = split_row(row)
    contents = {path: _content(value) for path, value in row}
    return Mark(
        whole=hash(tuple(contents.values())),
        inputs=hash(tuple(contents[path] for path, _ in inputs)),
        label=_label(targets[0][1]) if len(targets) == 1 else None,
        target=_numbers(targets[0][1]) if len(targets) == 1 else None,
        blank=all(_is_blank(value, contents[path]) for path, value in inputs),
    )


def split_row(row: Row) -> tuple[Row, Row]:
    """Separate inputs from targets: entries named as targets, otherwise the last of several."""
    named = [leaf for leaf in row if leaf[0].rpartition(".")[2].lower() in TARGET_NAMES]
    if named or len(row) < 2 or not row[-1][0].isdigit():
        paths = {path for path, _ in named}
        return [leaf for leaf in row if leaf[0] not in paths], named
    return row[:-1], row[-1:]


def base_of(dataset: Any) -> Any:
    """Follow ``Subset``s to the dataset that contains the rows."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset


def places_in_base(dataset: Any) -> Sequence[int]:
    """Return the indices of these rows in the underlying dataset."""
    if not isinstance(dataset, Subset):
        return range(len(dataset))
    indices: Any = dataset.indices
    own = indices.tolist() if hasattr(indices, "tolist") else list(indices)
    below = places_in_base(dataset.dataset)
    return own if isinstance(below, range) else [below[i] for i in own]


def are_windows(dataset: Any) -> bool:
    """Return whether the second row is the first, shifted by one time step."""
    if len(dataset) < 2:
        return False
    first, second = (_series(split_row(row)[0]) for row in _rows(dataset, [0, 1], "training"))
    if first is None or second is None or first.shape != second.shape or len(first) < 4:
        return False
    return torch.equal(first[1:], second[:-1]) and not torch.equal(first, second)


def _series(inputs: Row) -> Tensor | None:
    value = inputs[0][1] if inputs else None
    if not isinstance(value, Tensor):
        numeric = getattr(getattr(value, "dtype", None), "kind", "") in ("f", "i", "u")
        value = torch.as_tensor(value) if numeric else None
    return value if value is not None and value.dim() else None


def _rows(dataset: Any, indices: Sequence[int], name: str) -> Iterator[Row]:
    if _is_plain(dataset):
        # views of arrays, ten times faster than row by row
        columns = [_array(tensor) for tensor in base_of(dataset).tensors]
        for index in indices:
            place = _place(dataset, index)
            yield [(str(i), column[place]) for i, column in enumerate(columns)]
        return
    for index in indices:
        try:
            row = list(walk_batch(dataset[index]))
        except Exception as error:  # a dataset is user code
            raise UnreadableRowsError(
                f"row {index} of the {name} set raised {type(error).__name__}: {error}"
            ) from error
        yield row


def _is_plain(dataset: Any) -> bool:
    """Return whether a dataset only indexes tensors; a subclass may do more."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) is TensorDataset


def _place(dataset: Any, index: int) -> int:
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, int(dataset.indices[index])
    return index


def _array(tensor: Tensor) -> Any:
    if tensor.layout is not torch.strided:
        raise UnreadableRowsError(f"rows that contain {tensor.layout} tensors cannot be compared")
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _content(value: Any) -> bytes:
    if isinstance(value, Tensor):
        value = _array(value)
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return repr(value).encode()
    if callable(getattr(value, "tobytes", None)):  # arrays, images
        return bytes(value.tobytes())
    raise UnreadableRowsError(f"rows that contain {type(value).__name__} objects cannot be compared")


def _label(value: Any) -> int | None:
    if hasattr(value, "shape"):
        value = value.item() if math.prod(value.shape) == 1 else None
    if isinstance(value, float):
        return int(value) if value in (0.0, 1.0) else None
    return int(value) if isinstance(value, int) else None


def _numbers(value: Any) -> tuple[float, ...] | None:
    """Return a few numbers as floats, ``None`` for anything else."""
    if isinstance(value, Tensor):
        value = _array(value)
    if getattr(getattr(value, "dtype", None), "kind", "") in ("f", "i", "u") and 0 < value.size <= _MAX_TARGETS:
        return tuple(map(float, value.flatten().tolist()))
    return (float(value),) if isinstance(value, float) else None


def _is_blank(value: Any, content: bytes) -> bool:
    """Return whether an array repeats a single number."""
    size = getattr(value, "itemsize", len(content))
    return len(content) > size and content == content[:size] * (len(content) // size)
