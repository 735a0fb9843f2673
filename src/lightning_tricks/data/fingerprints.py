"""Fingerprints: short texts that change when a model or a dataset does."""

import hashlib
import inspect
import types
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from lightning_tricks.core.tensor_copies import is_plain

_ALL_ROWS = 10_000
"""Datasets up to this length are read completely; of longer ones, this many evenly spaced rows are read."""
_PROBES = 3
"""Rows that are read twice, to detect random rows."""


def fingerprint_model(model: nn.Module) -> dict[str, str]:
    """Return fingerprints of a model's weights and buffers, and of its structure with the code of its ``forward``.

    Example:
        >>> first, second = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> _ = nn.init.zeros_(first.weight), nn.init.ones_(second.weight)
        >>> one, other = fingerprint_model(first), fingerprint_model(second)
        >>> one["weights"] == other["weights"], one["model"] == other["model"]
        (False, True)
    """
    tensors = chain(model.named_parameters(), model.named_buffers())
    kinds = dict.fromkeys(type(module) for module in model.modules())
    code = [_code_of(kind.forward) for kind in kinds if not kind.__module__.startswith("torch.nn.")]
    return {
        "weights": digest((name, tensor) for name, tensor in tensors),
        "model": digest([type(model).__qualname__, repr(model), code]),
    }


def fingerprint_data(dataset: Any) -> str:
    """Return the fingerprint of a map-style dataset's rows.

    If rows differ when they are read again (augmentation), only the dataset's class and length are used. Of more than
    10,000 rows, 10,000 evenly spaced rows are read; tensors of a ``TensorDataset`` are read completely.

    Example:
        >>> fingerprint_data([1, 2, 3]) == fingerprint_data([1, 2, 4])
        False
    """
    count = len(dataset)
    known = [type(dataset).__qualname__, count]
    if type(dataset) is TensorDataset:
        return digest([*known, list(dataset.tensors)])
    probes = range(0, count, max(1, count // _PROBES))
    if any(digest([dataset[row]]) != digest([dataset[row]]) for row in probes):
        return digest([*known, "drawn randomly"])
    rows = range(count) if count <= _ALL_ROWS else [row * count // _ALL_ROWS for row in range(_ALL_ROWS)]
    return digest(chain(known, (dataset[row] for row in rows)))


def fingerprint_code(function: Any) -> str:
    """Return the fingerprint of a Python function's code; for other callables, of the class."""
    return digest([type(function).__qualname__, _code_of(function)])


def digest(values: Iterable[Any]) -> str:
    """Return a hash of values that is the same in every process: numbers, strings, tensors, arrays and containers.

    For other objects, only the class is used.
    """
    hasher = hashlib.blake2b(digest_size=16)
    for value in values:
        _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    hasher.update(f"<{type(value).__qualname__}>".encode())
    if isinstance(value, Tensor):
        _feed_tensor(hasher, value.detach())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _feed(hasher, key)
            _feed(hasher, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, (set, frozenset)):
        _feed(hasher, sorted(digest([item]) for item in value))
    elif isinstance(value, (bytes, bytearray)):
        hasher.update(value)
    elif value is None or isinstance(value, (str, int, float, complex)):
        hasher.update(repr(value).encode(errors="surrogatepass"))
    elif hasattr(value, "__array_interface__"):
        array = value.tobytes()
        hasher.update(f"{value.shape}{value.dtype}".encode() if hasattr(value, "shape") else str(value.size).encode())
        hasher.update(array)


def _feed_tensor(hasher: Any, tensor: Tensor) -> None:
    hasher.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
    if not is_plain(tensor):
        tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor.dequantize()
    flat = tensor.cpu().contiguous().resolve_conj().resolve_neg().view(-1)
    if flat.numel():
        array: Any = flat.view(torch.uint8).numpy()
        hasher.update(memoryview(array))


def _code_of(function: Any) -> list[Any]:
    """Return the code of a Python function without line numbers and file names."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return [] if code is None else _parts_of(code)


def _parts_of(code: types.CodeType) -> list[Any]:
    constants = [_parts_of(item) if isinstance(item, types.CodeType) else item for item in code.co_consts]
    return [code.co_code, code.co_names, constants]
