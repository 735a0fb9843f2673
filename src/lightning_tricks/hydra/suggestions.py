"""Suggestions: the closest names to one that does not exist, for options and for their settings."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from lightning_tricks.core.close_names import close_names, did_you_mean


def suggestions_for(overrides: Sequence[str], message: str = "") -> str:
    """Return suggestions for overrides that select tricks or change their settings; empty if nothing is wrong.

    Args:
        overrides: the overrides as typed; ``tricks@callbacks=[...]`` also makes ``callbacks.NAME.KEY`` a setting.
        message: Hydra's error; if given, only the names in it are checked.

    Example:
        >>> suggestions_for(["tricks=[cosine_dekay]"])
        ' Unknown: cosine_dekay. Did you mean cosine_decay?'
        >>> suggestions_for(["tricks=[cosine_decay]", "tricks.cosine_decay.end_facto=0.1"])
        ' Unknown: tricks.cosine_decay.end_facto. Did you mean end_factor or log_factors?'
        >>> suggestions_for(["tricks.cosine_decay.warmup=1"], "Could not override 'tricks.cosine_decay.warmup'.")
        ' `cosine_decay` is not selected: add tricks=[cosine_decay], with a + if the defaults list has no tricks.'
    """
    unknown = [
        f" Unknown: {name}.{did_you_mean(close_names(name.rpartition('.')[2], known))}"
        for name, quoted, known in _unknown(overrides)
        if not message or quoted in message  # an application may have its own options in the group
    ]
    return "".join(unknown or _unselected(overrides, message))


def misspelt_groups(overrides: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each override that selects options in a group that does not exist, as ``+trick=`` does.

    Example:
        >>> print(*misspelt_groups(["+trick=[cosine_decay]", "lr=0.1", "+trick=mine"]))
        `+trick=[cosine_decay]` selects no trick, only sets a value: the group is called `tricks`.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        meant = close_names(key.partition("@")[0], ["tricks", "recipes"], 0.8)
        if meant and meant[0] != key.partition("@")[0] and set(re.findall(r"\w+", value)) & set(_options(meant[0])):
            yield f"`{override}` selects no {meant[0][:-1]}, only sets a value: the group is called `{meant[0]}`."


def _unknown(overrides: Sequence[str]) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield each unknown name, how a message of Hydra's quotes it, and the known ones."""
    options = _options("tricks")
    packages = {package for group, package, _ in _selections(overrides)} | {"tricks"}
    for group, _, value in _selections(overrides):
        known = options if group == "tricks" else _options("recipes")
        names = [name for name in re.findall(r"[\w-]+", value) if name not in [*known, "null"]]
        yield from ((name, f"'{group}/{name}'", known) for name in names)
    selected = _selected(overrides)
    for key, package, path in _settings_in(overrides, packages):
        if path[0] not in [*options, *selected] and package == "tricks":
            yield key, f"'{key}'", options
        elif path[0] in options and len(path) > 1 and path[1] not in _settings(path[0]):
            yield key, f"'{key}'", _settings(path[0])


def _unselected(overrides: Sequence[str], message: str) -> Iterator[str]:
    """Yield what is missing where a setting of a known option was refused because nothing selects the option."""
    for key, _, path in _settings_in(overrides, {"tricks"}):
        if f"'{key}'" in message and path[0] not in _selected(overrides):
            yield (
                f" `{path[0]}` is not selected: add tricks=[{path[0]}], with a + if the defaults list has no tricks."
            )
            return


def _selections(overrides: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield group, package and value of the overrides that select options."""
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        group, _, package = key.partition("@")
        if group in ("tricks", "recipes"):
            yield group, package.partition(":")[2] or package.partition(":")[0] or "tricks", value


def _selected(overrides: Sequence[str]) -> list[str]:
    return [name for _, _, value in _selections(overrides) for name in re.findall(r"\w+", value)]


def _settings_in(overrides: Sequence[str], packages: set[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the key, the package and the path in the package of each override of a setting."""
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        for package in packages:
            if key.startswith(f"{package}."):
                yield key, package, key.removeprefix(f"{package}.").split(".")


def _options(group: str) -> list[str]:
    folder = files("lightning_tricks.conf").joinpath(group)
    return [entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")]


def _settings(option: str) -> list[str]:
    from omegaconf import OmegaConf

    text = files("lightning_tricks.conf").joinpath("tricks", f"{option}.yaml").read_text(encoding="utf-8")
    node: Any = OmegaConf.create(text)
    return [str(key) for key in node[option]]
