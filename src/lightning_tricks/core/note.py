"""Note: how to restore one object, and its contents."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Revive = Callable[[Any], Any]
"""Return the object to restore: the original or, if it cannot be rewound, a copy."""


class Note(NamedTuple):
    """How to restore an object, and its contents by name."""

    undo: Callable[[Revive], None] | None
    inner: list[tuple[str, Any]]


def numbered(values: Any) -> list[tuple[str, Any]]:
    """Return values with their positions as names."""
    return [(f"[{place}]", value) for place, value in enumerate(values)]


def named(values: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """Return the values of a mapping with their keys as names."""
    return [(f"[{key!r}]" if isinstance(key, (str, int)) else "[...]", value) for key, value in values.items()]
