"""Batch entries: find, read and replace one entry of a batch, in any container or several in one another."""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from torch import Tensor

from lightning_tricks.core.arguments import shown_with_type

Key = int | str
"""Identifies an entry of a batch: an index into a tuple or list, a key of a dict, the name of an attribute, or several
of them joined by dots, as in ``"labeled.0"``."""
Path = tuple[Any, ...]
"""The keys that lead from a batch to an entry; ``()`` is the batch itself."""


def keys_of(batch: Any) -> list[Any]:
    """Return the keys of a batch's entries, in order; none for a batch that is not a container.

    Example:
        >>> keys_of({"image": 1, "label": 2}), keys_of((1, 2))
        (['image', 'label'], [0, 1])
    """
    if isinstance(batch, Mapping):
        return list(batch)
    if isinstance(batch, (tuple, list)):
        return list(range(len(batch)))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return [field.name for field in dataclasses.fields(batch)]
    return []


def read_entry(batch: Any, path: Path) -> Any:
    """Return an entry of a batch.

    Example:
        >>> read_entry({"x": (1, 2)}, ("x", 1))
        2
    """
    for key in path:
        batch = _read(batch, key)
    return batch


def replace_entry(batch: Any, path: Path, value: Any) -> Any:
    """Return a batch of the same type with one entry replaced; the given batch is not changed.

    Example:
        >>> replace_entry((1, 2), (0,), 5), replace_entry({"x": (1, 2)}, ("x", 1), 5)
        ((5, 2), {'x': (1, 5)})
    """
    if not path:
        return value
    key = path[0]
    value = replace_entry(_read(batch, key), path[1:], value)
    if isinstance(batch, tuple) and not isinstance(key, str):
        items = [value if place == key % len(batch) else item for place, item in enumerate(batch)]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    changed = copy.copy(batch)
    if isinstance(changed, (MutableMapping, list)):
        changed[key] = value
    else:
        object.__setattr__(changed, key, value)  # frozen dataclasses too: this is a copy
    return changed


def find_entry(batch: Any, key: Key) -> Path | None:
    """Return the path of an entry.

    Returns:
        The path; ``None`` if the entry, or a container on the way to it, is ``None``: the batch comes without the
        entry, as after the end of the shorter of two loaders.

    Raises:
        ValueError: there is no such entry; the message lists the entries.

    Example:
        >>> find_entry({"labeled": (1, 2), "unlabeled": None}, "labeled.1")
        ('labeled', 1)
    """
    has_dots = isinstance(key, str) and "." in key and key not in keys_of(batch)
    path: list[Any] = []
    entry = batch
    for part in str(key).split(".") if has_dots else [key]:
        if entry is None:
            return None
        is_index = isinstance(part, str) and part.lstrip("-").isdigit() and part not in keys_of(entry)
        path.append(int(part) if is_index else part)
        try:
            entry = _read(entry, path[-1])
        except (AttributeError, LookupError, TypeError):
            raise ValueError(f"`key`={key!r} names no entry of the batch, {describe_batch(batch)}.") from None
    return None if entry is None else tuple(path)


def named_entry(batch: Any, key: Key | None) -> Any:
    """Return an entry; ``None`` if no key is given or the batch comes without the entry.

    Raises:
        ValueError: there is no such entry.
    """
    path = None if key is None else find_entry(batch, key)
    return None if path is None else read_entry(batch, path)


def find_input(
    batch: Any,
    key: Key | None,
    earlier: Path | None = None,
    accept: Callable[[Tensor], bool] = Tensor.is_floating_point,
) -> Path | None:
    """Return the path of the input: that of ``key``, or that of the first floating-point tensor.

    The search visits the entries of the batch before the entries of those entries.

    Args:
        batch: a tensor, or nested tuples, lists, mappings and dataclasses.
        key: the key that the user gave; ``None`` to search.
        earlier: the path that a search found in an earlier batch; it is kept for batches of the same structure.
        accept: which tensors a search accepts.

    Returns:
        The path, ``()`` if the batch itself is the tensor; ``None`` if the batch comes without its input
        (:func:`find_entry`).

    Raises:
        ValueError: there is no such entry, or it is not a tensor.

    Example:
        >>> import torch
        >>> x, ids = torch.ones(1, 2), torch.tensor([3])
        >>> find_input({"id": ids, "x": x}, None), find_input([(ids, x), (ids, x)], None)
        (('x',), (0, 1))
    """
    if key is not None:
        path = find_entry(batch, key)
        if path is not None and not isinstance(read_entry(batch, path), Tensor):
            raise ValueError(f"`key`={key!r} is not a tensor in the batch, {describe_batch(batch)}.")
        return path
    if earlier is not None:
        entries = _entries_along(batch, earlier)
        if entries[-1] is None:
            return None
        if len(entries) > len(earlier) and isinstance(entries[-1], Tensor):
            return earlier
    level: list[tuple[Path, Any]] = [((), batch)]
    while level:
        for path, entry in level:
            if isinstance(entry, Tensor) and accept(entry):
                return path
        level = [((*path, step), _read(entry, step)) for path, entry in level for step in keys_of(entry)]
    raise ValueError(
        f"The batch contains no floating-point tensor: it is {describe_batch(batch)}. Name the input with `key`, for "
        "instance `key=0`. Integer images need this too."
    )


def entries_after(batch: Any, path: Path) -> list[Path]:
    """Return the paths of the entries after the input, in its container: its targets.

    Example:
        >>> entries_after(("id", "x", "y", "weight"), (1,))
        [(2,), (3,)]
    """
    if not path:
        return []
    *above, key = path
    keys = keys_of(read_entry(batch, tuple(above)))
    if not keys:
        return []
    place = keys.index(key) if key in keys else keys.index(keys[key])
    return [(*above, after) for after in keys[place + 1 :]]


def spell(path: Path) -> Key:
    """Return the key that a user would give for a path.

    Example:
        >>> spell((0,)), spell(("labeled", 0))
        (0, 'labeled.0')
    """
    return path[0] if len(path) == 1 and isinstance(path[0], (int, str)) else ".".join(map(str, path))


def describe_batch(batch: Any) -> str:
    """Describe the contents of a batch, for a message.

    Example:
        >>> import torch
        >>> describe_batch((torch.ones(2, 3), torch.tensor([1, 2])))
        'a tuple of (2, 3) float32, (2,) int64'
    """
    keys = keys_of(batch)
    if not keys:
        return _describe(batch)
    parts = (_describe(_read(batch, key)) for key in keys[:8])
    named = not isinstance(batch, (tuple, list))
    return f"a {type(batch).__name__} of " + _joined(zip(keys, parts, strict=False), named)


def check_key(name: str, key: object) -> int | str | None:
    """Return the key of an entry, checked.

    Raises:
        TypeError: the key is neither a name nor an index.
        ValueError: an empty name.
    """
    if isinstance(key, bool) or not isinstance(key, (int, str, type(None))):
        raise TypeError(f"`{name}` must be a name, an index or None, got {shown_with_type(key)}.")
    if isinstance(key, str) and not key.strip():
        raise ValueError(f"`{name}` must not be empty, got {key!r}.")
    if isinstance(key, int) and abs(key) > 2**31:
        raise ValueError(f"`{name}` must be the index of an entry, got a number of {len(hex(key))} hexadecimal digits.")
    return key


def _read(container: Any, key: Any) -> Any:
    if isinstance(key, str) and not isinstance(container, Mapping):
        return getattr(container, key)
    return container[key]


def _entries_along(batch: Any, path: Path) -> list[Any]:
    """Return a batch and the entries along a path, as far as it exists."""
    entries = [batch]
    for key in path:
        if key not in keys_of(entries[-1]):
            break
        entries.append(_read(entries[-1], key))
    return entries


def _joined(parts: Iterable[tuple[Any, str]], named: bool) -> str:
    return ", ".join(f"{key!r}: {text}" if named else text for key, text in parts)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__
