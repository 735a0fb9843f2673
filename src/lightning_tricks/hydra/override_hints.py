"""Override hints: suggest close options, settings and missing packages if Hydra cannot compose a command line."""

import functools
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hydra.errors import HydraException

_HAS_HINTS = "_lightning_tricks_hints"
_INSTALLED_BY = {
    "launcher/joblib": "'lightning-tricks[joblib]'",
    "launcher/submitit_local": "'lightning-tricks[sweep]'",
    "launcher/submitit_slurm": "'lightning-tricks[sweep]'",
    "launcher/ray": "hydra-ray-launcher",
    "sweeper/optuna": "'lightning-tricks[optuna-sweep]'",
}
"""Options of Hydra's plugins that packaged options select, and what pip must install for them."""


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

    hint = suggestions_for(overrides, str(error)).strip() or missing_plugin(str(error))
    if hint and error.args:
        error.args = (f"{error.args[0]}\nlightning-tricks: {hint}", *error.args[1:])


def missing_plugin(message: str) -> str:
    """Return how to install the plugin of Hydra that an error misses; empty if it misses none that we know.

    Example:
        >>> missing_plugin("In 'hydra/config': Could not find 'hydra/launcher/joblib'")
        "hydra/launcher=joblib needs a plugin: pip install 'lightning-tricks[joblib]'."
    """
    found = re.search(r"Could not find 'hydra/((\w+)/(\w+))'", message)
    if found is None or found[1] not in _INSTALLED_BY:
        return ""
    return f"hydra/{found[2]}={found[3]} needs a plugin: pip install {_INSTALLED_BY[found[1]]}."
