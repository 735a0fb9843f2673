"""Compose tricks with Hydra: selected options become a list of callbacks."""

__all__ = ["instantiate_callbacks"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lightning_tricks.hydra.instantiate import instantiate_callbacks as instantiate_callbacks


def __getattr__(name: str) -> object:
    """Load the function on first access: every Trainer imports this package, and most do not need Hydra."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.instantiate"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
