"""Sweep values: parse the overrides of a job into numbers, flags and strings, and choose their scales."""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

Value = float | int | str | bool | None

_WIDE = 100.0  # values that span two decades are shown on a log scale


def split_override(override: str) -> tuple[str, str]:
    """Return the key of an override without its prefix (``+``), and the text of its value.

    Example:
        >>> split_override("+model.lr=0.1"), split_override("~tricks")
        (('model.lr', '0.1'), ('tricks', ''))
    """
    key, _, text = override.partition("=")
    return key.lstrip("+~"), text


def read_value(text: str) -> Value:
    """Return the number, flag or string in an override.

    Example:
        >>> [read_value(text) for text in ("1e-05", "64", "true", "'a b'", "[one_cycle]", "null")]
        [1e-05, 64, True, 'a b', '[one_cycle]', 'null']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, (int, float, str)) else text


def look_up(config: Any, key: str) -> Value:
    """Return a number, flag or string of a configuration; ``"set"`` for a node with entries.

    Example:
        >>> look_up({"model": {"lr": 0.1}}, "model.lr"), look_up({"model": {"lr": 0.1}}, "model")
        (0.1, 'set')
    """
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config if isinstance(config, (int, float, str, bool, type(None))) else "set"


def as_numbers(values: Iterable[Value]) -> list[float] | None:
    """Return the values as numbers; ``None`` if one of them is not a number.

    Example:
        >>> as_numbers([1, 0.5]), as_numbers([1, True])
        ([1.0, 0.5], None)
    """
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        numbers.append(float(value))
    return numbers


def find_scale(text: str, values: Iterable[Value]) -> str | None:
    """Return the scale on which values are shown; ``None`` if they are not numbers.

    Args:
        text: the parameter's original text, such as ``tag(log, interval(1e-5, 1))``, if known.
        values: the values that were tried.

    Example:
        >>> find_scale("tag(log, interval(0.1, 1))", [0.3]), find_scale("interval(1e-5, 1)", [1e-4, 0.5])
        ('log', 'linear')
        >>> find_scale("1e-4,1e-2,1", [1e-4, 1e-2, 1]), find_scale("cnn,mlp", ["cnn", "mlp"])
        ('log', None)
    """
    numbers = as_numbers(value for value in values if value is not None)
    if not numbers:
        return None
    if "interval" in text or "range" in text:
        tag = re.search(r"tag\([^)]*\b(log1m|log)\b", text)
        return tag[1] if tag else "linear"
    return "log" if min(numbers) > 0 and max(numbers) / min(numbers) >= _WIDE else "linear"


def asked_for(config: Any) -> Mapping[str, str]:
    """Return the overrides of a whole sweep by key, from Hydra's ``multirun.yaml``."""
    hydra = (config or {}).get("hydra", {})
    params = (hydra.get("sweeper") or {}).get("params") or {}
    typed = dict(split_override(str(line)) for line in (hydra.get("overrides") or {}).get("task") or [])
    return {**{str(key): str(text) for key, text in params.items()}, **typed}
