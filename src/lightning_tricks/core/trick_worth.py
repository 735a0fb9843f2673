"""Trick worth: what an option was worth where it was measured, for advice that names it.

``trick_worth.json`` is written by ``python evidence/worth.py`` from the tables of measurements. An option that was not
measured is not in it, and no figure is quoted.
"""

import functools
import json
import re
from importlib.resources import files
from typing import Any

_OPTION = re.compile(r"tricks=\[(\w+)\]")


def worth_of(option: str) -> str:
    """Return what an option was worth, as one sentence without an end; empty if it was not measured.

    Example:
        >>> worth_of("normalize_inputs")
        'few rows, better on ... datasets, worse on ... (docs/guide/few-rows.md)'
        >>> worth_of("model_summary")
        ''
    """
    parts: dict[str, list[str]] = {}
    for entry in _table().get(option, []):
        parts.setdefault(entry["page"], []).append(f"{entry['where']}, {_describe(entry)}")
    return "; ".join(f"{'; '.join(found)} ({page})" for page, found in parts.items())


def with_worth(advice: str) -> str:
    """Return advice with what its options were worth, such as ``tricks=[mix_up]``.

    Example:
        >>> with_worth("tricks=[normalize_inputs]")
        'tricks=[normalize_inputs]; measured: few rows, better on ... datasets, worse on ... (docs/guide/few-rows.md)'
        >>> with_worth("a smaller batch")
        'a smaller batch'
    """
    options = list(dict.fromkeys(_OPTION.findall(advice)))
    found = [(option, worth_of(option)) for option in options if worth_of(option)]
    return "; ".join([advice, *(f"measured{f' ({option})' * (len(options) > 1)}: {worth}" for option, worth in found)])


def _describe(entry: dict[str, Any]) -> str:
    if "ratio" in entry:
        return f"test loss x {entry['ratio']:.2f} ± {entry['error']:.2f} on {entry['of']} tasks"
    return f"better on {entry['better']} of {entry['of']} datasets, worse on {entry['worse']}"


@functools.cache
def _table() -> dict[str, list[dict[str, Any]]]:
    text = files("lightning_tricks.core").joinpath("trick_worth.json").read_text(encoding="utf-8")
    table: dict[str, list[dict[str, Any]]] = json.loads(text)
    return table
