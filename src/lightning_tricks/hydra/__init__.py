"""Compose tricks with Hydra: the options that were selected become a list of callbacks."""

__all__ = ["instantiate_callbacks"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lightning_tricks.hydra.instantiate import instantiate_callbacks as instantiate_callbacks


def __getattr__(name: str) -> object:
    """Load the function when it is first asked for: each Trainer looks into this room, and most need no Hydra."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.instantiate"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
