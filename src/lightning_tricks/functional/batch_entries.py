"""Batch entries: find, read and replace one entry of a batch in any container."""

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from torch import Tensor

from lightning_tricks.core.arguments import shown_with_type

Key = int | str
"""Identifies an entry of a batch: an index into a tuple or list, a key of a dict, or the name of an attribute."""


def keys_of(batch: Any) -> list[Key]:
    """Return the keys of a batch's entries, in order; none for a batch that is a single tensor.

    Example:
        >>> keys_of({"image": 1, "label": 2}), keys_of((1, 2))
        (['image', 'label'], [0, 1])
    """
    if isinstance(batch, Mapping):
        return list(batch)
    if isinstance(batch, (tuple, list)):
        return list(range(len(batch)))
    return []


def read_entry(batch: Any, key: Key | None) -> Any:
    """Return an entry of a batch; ``None`` stands for the batch itself.

    Raises:
        ValueError: there is no such entry; the message lists the entries.
    """
    if key is None:
        return batch
    try:
        if isinstance(key, str) and not isinstance(batch, Mapping):
            return getattr(batch, key)
        return batch[key]
    except (AttributeError, LookupError, TypeError):
        raise ValueError(f"`key`={key!r} names no entry of the batch, {describe_batch(batch)}.") from None


def replace_entry(batch: Any, key: Key | None, value: Any) -> Any:
    """Return a batch of the same type with one entry replaced; the given batch is not changed.

    Example:
        >>> replace_entry((1, 2), 0, 5), replace_entry({"x": 1}, "x", 5)
        ((5, 2), {'x': 5})
    """
    if key is None:
        return value
    if isinstance(batch, tuple):
        items = [value if place == key % len(batch) else item for place, item in enumerate(batch)]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    changed = copy.copy(batch)
    if isinstance(changed, (MutableMapping, list)):
        changed[key] = value  # type: ignore[index]
    else:
        setattr(changed, str(key), value)
    return changed


def find_input(batch: Any, key: Key | None, accept: Callable[[Tensor], bool] = Tensor.is_floating_point) -> Key | None:
    """Return the key of the input: ``key`` itself, or that of the first floating-point tensor.

    Args:
        batch: a tensor, a tuple, a list or a mapping.
        key: the key that the user gave; ``None`` to search.
        accept: which tensors a search accepts.

    Returns:
        The key; ``None`` if the batch itself is the tensor.

    Raises:
        ValueError: there is no such entry, or it is not a tensor.

    Example:
        >>> import torch
        >>> find_input({"id": torch.tensor([3]), "x": torch.ones(1, 2)}, None)
        'x'
    """
    if key is not None:
        if not isinstance(read_entry(batch, key), Tensor):
            raise ValueError(f"`key`={key!r} is not a tensor in the batch, {describe_batch(batch)}.")
        return key
    if isinstance(batch, Tensor) and accept(batch):
        return None
    for candidate in keys_of(batch):
        entry = read_entry(batch, candidate)
        if isinstance(entry, Tensor) and accept(entry):
            return candidate
    raise ValueError(
        f"The batch contains no floating-point tensor: it is {describe_batch(batch)}. Name the input with `key`, for "
        f"instance `key=0`. Integer images need this too."
    )


def entries_after(batch: Any, key: Key | None) -> list[Key]:
    """Return the keys of the entries after the input: its targets.

    Example:
        >>> entries_after(("id", "x", "y", "weight"), 1)
        [2, 3]
    """
    keys = keys_of(batch)
    if key is None or not keys:
        return []
    place = keys.index(key) if key in keys else keys.index(keys[key])  # type: ignore[index]
    return keys[place + 1 :]


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
    parts = (_describe(read_entry(batch, key)) for key in keys[:8])
    named = isinstance(batch, Mapping)
    return f"a {type(batch).__name__} of " + _joined(zip(keys, parts, strict=False), named)


def _joined(parts: Iterable[tuple[Key, str]], named: bool) -> str:
    return ", ".join(f"{key!r}: {text}" if named else text for key, text in parts)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__


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
