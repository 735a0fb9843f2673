"""Override hints: suggest close options and settings if Hydra cannot compose a command line."""

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hydra.errors import HydraException

_HAS_HINTS = "_lightning_tricks_hints"


def add_hints() -> None:
    """Add hints about tricks to the error of each failed composition in this process.

    Hydra has no public hook for this, so its loader is wrapped once. If Hydra has moved it, errors are not changed.
    """
    loader: Any = getattr(import_module("hydra._internal.config_loader_impl"), "ConfigLoaderImpl", None)
    compose = getattr(loader, "load_configuration", None)
    if compose is not None and not hasattr(compose, _HAS_HINTS):
        loader.load_configuration = with_hints(compose)


def with_hints(compose: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that composes, and adds suggestions for the overrides to the message of an error.

    Args:
        compose: called with the loader, the name of the configuration and the overrides, by position or by name.
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
