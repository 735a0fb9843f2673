"""Override hints: name the closest options and settings where Hydra cannot compose what a command line selects."""

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hydra.errors import HydraException

_HAS_HINTS = "_lightning_tricks_hints"


def add_hints() -> None:
    """Have each failed composition of this process end with hints about its tricks, on every command line.

    Hydra has no public place for this: its loader is wrapped, once. Where Hydra has moved it, errors stay as they are.
    """
    loader: Any = getattr(import_module("hydra._internal.config_loader_impl"), "ConfigLoaderImpl", None)
    compose = getattr(loader, "load_configuration", None)
    if compose is not None and not hasattr(compose, _HAS_HINTS):
        loader.load_configuration = with_hints(compose)


def with_hints(compose: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that composes, and adds to the message of an error what its overrides may have meant.

    Args:
        compose: called with the loader, the name of the configuration and the overrides, by place or by name.
    """

    @functools.wraps(compose)
    def load_configuration(loader: Any, config_name: Any, overrides: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return compose(loader, config_name, overrides, *args, **kwargs)
        except HydraException as error:
            _add_hint(error, list(overrides))
            raise

    setattr(load_configuration, _HAS_HINTS, True)
    return load_configuration


def _add_hint(error: HydraException, overrides: list[str]) -> None:
    from lightning_tricks.hydra.suggestions import suggestions_for

    hint = suggestions_for(overrides, str(error)).strip()
    if hint and error.args:
        error.args = (f"{error.args[0]}\nlightning-tricks: {hint}", *error.args[1:])
