"""Suggestions: the closest names to one that does not exist, for options and for their settings."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from lightning_tricks.core.close_names import close_names, did_you_mean


def suggestions_for(overrides: Sequence[str]) -> str:
    """Return what overrides that select tricks or change their settings may have meant, empty if nothing is wrong.

    Example:
        >>> suggestions_for(["tricks=[cosine_dekay]"])
        ' Unknown: cosine_dekay. Did you mean cosine_decay?'
        >>> suggestions_for(["tricks=[cosine_decay]", "tricks.cosine_decay.end_facto=0.1"])
        ' Unknown: tricks.cosine_decay.end_facto. Did you mean end_factor or log_factors?'
    """
    unknown = ((name, close_names(name.rpartition(".")[2], known)) for name, known in _unknown(overrides))
    return "".join(f" Unknown: {name}.{did_you_mean(close)}" for name, close in unknown)


def _unknown(overrides: Sequence[str]) -> Iterator[tuple[str, Iterable[str]]]:
    options = _options("tricks")
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        group, *path = key.split(".")
        if group in ("tricks", "recipes") and not path:
            known: Iterable[str] = options if group == "tricks" else _options("recipes")
            yield from ((name, known) for name in re.findall(r"\w+", value) if name not in known)
        elif group == "tricks" and path and path[0] not in options:
            yield key, options
        elif group == "tricks" and len(path) > 1 and path[1] not in _settings(path[0]):
            yield key, _settings(path[0])


def _options(group: str) -> list[str]:
    folder = files("lightning_tricks.conf").joinpath(group)
    return [entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")]


def _settings(option: str) -> list[str]:
    from omegaconf import OmegaConf

    text = files("lightning_tricks.conf").joinpath("tricks", f"{option}.yaml").read_text(encoding="utf-8")
    node: Any = OmegaConf.create(text)
    return [str(key) for key in node[option]]
