"""Containers: list the tensors in a batch or in a module's return value, and rebuild it with other tensors."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


def members_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return the entries of a container by name; ``None`` for anything else, such as tensors and modules.

    Tuples, lists, mappings and dataclasses are containers, as are objects of other libraries that behave like them
    (graphs, model outputs). A container whose entries cannot be listed counts as one value.

    Example:
        >>> members_of({"x": 1}), members_of((1, 2)), members_of(nn.ModuleDict({"a": nn.ReLU()}))
        ([('x', 1)], [('0', 1), ('1', 2)], None)
    """
    if isinstance(value, (Tensor, nn.Module, type, str, bytes, int, float)) or value is None:
        return None
    if hasattr(type(value), "__array__"):  # arrays and tables of other libraries
        return None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=False))
    if isinstance(value, (tuple, list)):
        return [(str(i), item) for i, item in enumerate(value)]
    try:
        return _listed(value)
    except Exception:  # a user-defined class that cannot list its members: they stay unknown
        return None


def _listed(value: Any) -> list[tuple[str, Any]] | None:
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if hasattr(value, "keys") and hasattr(type(value), "__getitem__"):
        keys = value.keys() if callable(value.keys) else value.keys  # a property in older graph libraries
        return [(str(key), value[key]) for key in keys]
    return [(name, item) for name, item in _holding(value) if not name.startswith("_")] or None


def _holding(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object that are tensors, or containers of tensors."""
    for name, item in (vars(value) if hasattr(value, "__dict__") else {}).items():
        is_container = isinstance(item, (dict, list, tuple))
        if isinstance(item, Tensor) or (is_container and any(True for _ in tensors_in(item, depth=2))):
            yield name, item


def hides_tensors(value: Any, depth: int = 3) -> bool:
    """Return whether a value holds tensors in private attributes of an object, which cannot be exchanged.

    Example:
        >>> class Rows:
        ...     def __init__(self):
        ...         self.y, self._x = torch.ones(2), torch.ones(2)
        >>> hides_tensors((Rows(), 1)), hides_tensors((torch.ones(2),))
        (True, False)
    """
    members = members_of(value) if depth else None
    if members is None or isinstance(value, PackedSequence):
        return False
    is_listed = isinstance(value, (tuple, list, Mapping)) or dataclasses.is_dataclass(value) or hasattr(value, "keys")
    if not is_listed and any(name.startswith("_") for name, _ in _holding(value)):
        return True
    return any(hides_tensors(item, depth - 1) for _, item in members)


def walk_batch(batch: Any, path: str = "", depth: int = 8) -> Iterator[tuple[str, Any]]:
    """Yield each leaf of a container with its place; the place of a single tensor is empty."""
    members = members_of(batch) if depth else None
    if members is None:
        yield path, batch
        return
    for key, value in members:
        yield from walk_batch(value, f"{path}.{key}" if path else key, depth - 1)


def packed_in(value: Any, depth: int = 8) -> Iterator[PackedSequence]:
    """Yield the packed sequences in a container."""
    if isinstance(value, PackedSequence):
        yield value
    elif depth:
        for _, item in members_of(value) or ():
            yield from packed_in(item, depth - 1)


def tensors_in(value: object, depth: int = 3) -> Iterator[Tensor]:
    """Yield the tensors in a value and its nested containers, without lazy tensors, which have no shape."""
    if isinstance(value, Tensor):
        if not nn.parameter.is_lazy(value):
            yield value
    elif depth:
        for _, item in members_of(value) or ():
            yield from tensors_in(item, depth - 1)


def changeable_tensors_in(value: object) -> list[Tensor]:
    """Return the tensors that :func:`with_tensors_changed` changes, without those of packed sequences."""
    packed = {id(part) for sequence in packed_in(value) for part in sequence}
    return [tensor for tensor in tensors_in(value) if id(tensor) not in packed]


def with_tensors_changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a tensor, or a container of tensors, with each tensor changed; other objects are returned unchanged.

    Packed sequences are not changed.

    Example:
        >>> with_tensors_changed({"x": (torch.ones(1), "a")}, torch.neg)
        {'x': (tensor([-1.]), 'a')}
    """
    if isinstance(value, Tensor):
        return change(value)
    members = members_of(value)
    if members is None or isinstance(value, PackedSequence):  # its rows are steps of several samples
        return value
    items = [with_tensors_changed(item, change) for _, item in members]
    if all(new is old for new, (_, old) in zip(items, members, strict=True)):
        return value
    return _rebuild(value, [name for name, _ in members], items)


def _rebuild(value: Any, names: list[str], items: list[Any]) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    if isinstance(value, (tuple, list)):
        return type(value)(items)
    if isinstance(value, Mapping):
        entries = dict(zip(value.keys(), items, strict=True))
        return entries if type(value) is dict else _copy_of_mapping(value, entries)
    changed = copy.copy(value)
    for name, item in zip(names, items, strict=True):
        object.__setattr__(changed, name, item)  # a dataclass may be frozen
    return changed


def _copy_of_mapping(value: Any, entries: dict[Any, Any]) -> Any:
    changed = copy.copy(value)
    for key, item in entries.items():
        changed[key] = item
    return changed


def move(batch: Any, device: torch.device) -> Any:
    """Return a batch on a device, as Lightning moves it.

    Objects with a ``to`` method are moved by it, even if it works in place and returns nothing; other containers are
    searched.
    """
    if hasattr(batch, "to") and not isinstance(batch, type):
        moved = batch.to(device)
        return batch if moved is None else moved
    members = members_of(batch)
    if members is None:
        return batch
    items = [move(item, device) for _, item in members]
    if all(new is old for new, (_, old) in zip(items, members, strict=True)):
        return batch
    return _rebuild(batch, [name for name, _ in members], items)
