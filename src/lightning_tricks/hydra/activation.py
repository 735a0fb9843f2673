"""Tricks for any script, unchanged: ``LIGHTNING_TRICKS=doctor,lr_finder python train.py``.

Lightning calls the function in this file for each Trainer that is built, if this package is installed. Without the
variable, and outside of Hydra jobs, it does nothing and imports nothing.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from lightning.pytorch import Callback

VARIABLE = "LIGHTNING_TRICKS"


def tricks_from_environment() -> "list[Callback]":
    """Return the tricks named by the variable ``LIGHTNING_TRICKS``; none if it is unset or empty.

    In a Hydra job that selects tricks, a check is added that they reach the Trainer.

    The variable contains names of options or recipes, or ``@file.yaml`` for options with settings, separated by commas.
    The file is a mapping from names of options to settings: ``cosine_decay: {warmup: 100st}``. A callback of the same
    class that the script passes to its Trainer takes precedence.

    Returns:
        The callbacks, in a valid order.

    Raises:
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the variable's value cannot be applied; the
            message names the problem.

    Example:
        >>> tricks_from_environment()
        []
    """
    given = os.environ.get(VARIABLE, "").strip()
    return [*(_named(given) if given else []), *_checks()]


def _checks() -> "list[Callback]":
    """Return the checks of a Hydra job's selection; a process that has not imported Hydra runs no job."""
    if "hydra.core.hydra_config" not in sys.modules:
        return []
    from lightning_tricks.hydra.selection_check import checks_of_job

    return checks_of_job()


def _named(given: str) -> "list[Callback]":
    """Build the tricks that the variable names.

    Raises:
        lightning.pytorch.utilities.exceptions.MisconfigurationException: the tricks cannot be built.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lightning_tricks.hydra.compose import REFUSALS
    from lightning_tricks.hydra.instantiate import instantiate_callbacks

    try:
        callbacks = instantiate_callbacks(dict(_nodes(given)))
    except (LookupError, OSError, *REFUSALS) as error:
        reason = error.args[0] if isinstance(error, LookupError) else error
        raise MisconfigurationException(
            f"The environment variable {VARIABLE}={given!r} adds tricks to each Trainer: {reason}"
        ) from error
    for callback in callbacks:
        callback.from_environment = True  # type: ignore[attr-defined]
    return callbacks


def _nodes(given: str) -> "Iterator[tuple[str, Any]]":
    """Yield the options by name, with their settings.

    Raises:
        LookupError: an unknown trick.
        ValueError: a trick is named twice, or does not belong to this library.
    """
    recipes = _packaged("recipes")
    seen = set()
    for entry in filter(None, (part.strip() for part in given.split(","))):
        for name, node in _of_recipe(entry) if entry in recipes else _of_options(entry):
            if name in seen:
                raise ValueError(f"`{name}` is named twice.")
            seen.add(name)
            yield name, node


def _of_recipe(name: str) -> "Iterator[tuple[str, Any]]":
    """Yield the tricks of a packaged recipe, with their settings."""
    from lightning_tricks.hydra.compose import compose_tricks

    for key, node in (compose_tricks([f"recipes={name}"]) or {}).items():
        yield str(key), node


def _of_options(entry: str) -> "Iterator[tuple[str, Any]]":
    """Yield the option of a name, or those of a file with the settings from it."""
    from omegaconf import DictConfig, OmegaConf

    chosen = _read(entry[1:]) if entry.startswith("@") else {entry: None}
    for name, settings in chosen.items():
        option = _option(str(name))
        _refuse_unknown_keys(str(name), settings or {}, option)
        OmegaConf.set_struct(option, True)
        merged = OmegaConf.merge(option, settings or {})
        assert isinstance(merged, DictConfig)
        OmegaConf.set_struct(merged, False)
        yield str(name), merged


def _refuse_unknown_keys(name: str, settings: "dict[Any, Any]", option: "Any") -> None:
    """Raise an error for settings that the option does not have.

    Raises:
        ValueError: a setting is unknown; the message suggests close matches.
    """
    from lightning_tricks.core.close_names import close_names, did_you_mean

    for key in settings:
        if key not in option.keys():  # noqa: SIM118 - `in` does not find a value that must be given
            raise ValueError(f"`{name}` has no setting `{key}`.{did_you_mean(close_names(str(key), map(str, option)))}")


def _read(file: str) -> "dict[Any, Any]":
    from omegaconf import OmegaConf

    node = OmegaConf.load(os.path.expanduser(file))
    tricks = OmegaConf.to_container(node)
    if isinstance(tricks, dict) and set(tricks) == {"tricks"}:  # as in a Hydra configuration
        tricks = tricks["tricks"]
    if isinstance(tricks, list):
        tricks = dict.fromkeys(tricks)
    if not isinstance(tricks, dict) or any(not isinstance(value, (dict, type(None))) for value in tricks.values()):
        raise ValueError(f"{file} must map names of tricks to their settings (`cosine_decay: {{warmup: 100st}}`).")
    return tricks


def _option(name: str) -> "Any":
    """Return the packaged option of one of our callbacks; duplicates of others could not be detected."""
    from omegaconf import OmegaConf

    from lightning_tricks.core.close_names import close_names, did_you_mean

    options = _packaged("tricks")
    if name not in options:
        offer = did_you_mean(close_names(name, options)) or " `lightning-tricks list` lists all tricks."
        raise LookupError(f"there is no trick named {name!r}.{offer}")
    option = OmegaConf.select(OmegaConf.create(options[name].read_text(encoding="utf-8")), name)
    if not option["_target_"].startswith("lightning_tricks."):
        raise ValueError(
            f"`{name}` is {option['_target_']}, which does not belong to this library: pass it to the "
            f"Trainer in the script."
        )
    return option


def _packaged(group: str) -> "dict[str, Any]":
    """Return the files of the packaged options of a group, by name."""
    from importlib.resources import files

    folder = files("lightning_tricks.conf").joinpath(group)
    return {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
