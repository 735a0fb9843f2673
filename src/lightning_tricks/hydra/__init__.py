"""Compose tricks with Hydra: the options that were selected become a list of callbacks."""

__all__ = ["instantiate_callbacks"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lightning_tricks.hydra.instantiate import instantiate_callbacks as instantiate_callbacks


def __getattr__(name: str) -> object:
    """Load the function when it is first asked for: this room is entered by every Trainer, which needs no Hydra."""
    if name in __all__:
        from lightning_tricks.hydra import instantiate

        return instantiate.instantiate_callbacks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
