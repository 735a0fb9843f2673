"""Plain: convert frozen dataclasses of numbers, strings, tuples and dicts to JSON types and back without loss."""

import dataclasses
import math
import types
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return ``value`` in JSON types; NaN and infinities, which JSON does not have, become strings.

    Example:
        >>> to_plain({"p": (0.5, float("inf"))})
        {'p': [0.5, 'inf']}
    """
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def from_plain(kind: type[T], value: Any) -> T:
    """Rebuild a dataclass from the result of :func:`to_plain`.

    Raises:
        TypeError: a field is missing or unknown.
    """
    hints = _hints(cast(Any, kind))
    return kind(**{name: _build(hints.get(name, Any), inner) for name, inner in value.items()})


def _build(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _build_union([argument for argument in get_args(hint) if argument is not type(None)], value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_plain(cast(type[Any], hint), value)
    if origin is tuple:
        return tuple(_build(get_args(hint)[0], inner) for inner in value)
    if origin is list:
        return [_build(get_args(hint)[0], inner) for inner in value]
    if origin is dict:
        return {key: _build(get_args(hint)[1], inner) for key, inner in value.items()}
    return float(value) if hint is float and isinstance(value, str) else value


def _build_union(hints: list[Any], value: Any) -> Any:
    if value is None or len(hints) == 1:
        return None if value is None else _build(hints[0], value)
    if float in hints and value in ("nan", "inf", "-inf"):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
