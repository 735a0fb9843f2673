"""First entry: read or replace the input in a row or batch of any form."""

from collections.abc import Mapping
from typing import Any


def first_entry(row: Any) -> Any:
    """Return the first entry of a tuple, list or mapping; anything else is returned unchanged.

    Raises:
        ValueError: an empty tuple, list or mapping.

    Example:
        >>> first_entry({"x": 1.0, "y": 2}), first_entry((3.0, 4)), first_entry(5.0)
        (1.0, 3.0, 5.0)
    """
    if isinstance(row, (Mapping, tuple, list)):
        if not row:
            raise ValueError(f"A row must have at least one entry, got an empty {type(row).__name__}.")
        return next(iter(row.values())) if isinstance(row, Mapping) else row[0]
    return row


def with_first_entry(row: Any, value: Any) -> Any:
    """Return a row of the same form whose first entry is ``value``.

    Example:
        >>> with_first_entry({"x": 1.0, "y": 2}, 9.0), with_first_entry((3.0, 4), 9.0)
        ({'x': 9.0, 'y': 2}, (9.0, 4))
    """
    if isinstance(row, Mapping):
        return {**row, next(iter(row)): value}
    if isinstance(row, list):
        return [value, *row[1:]]
    if isinstance(row, tuple):
        entries = (value, *row[1:])
        return type(row)(*entries) if hasattr(row, "_fields") else entries
    return value
