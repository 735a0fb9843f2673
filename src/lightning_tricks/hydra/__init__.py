"""Compose tricks with Hydra: the options that were selected become a list of callbacks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_tricks.hydra.instantiate import instantiate_callbacks

__all__ = ["instantiate_callbacks"]


def __getattr__(name: str) -> Any:
    """Import on demand: a sweep, whose jobs run elsewhere, needs neither torch nor Lightning."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("lightning_tricks.hydra.instantiate"), name)
