"""Compose tricks with Hydra: the options that were selected become a list of callbacks."""

__all__ = ["instantiate_callbacks"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lightning_tricks.hydra.instantiate import instantiate_callbacks as instantiate_callbacks


def __getattr__(name: str) -> object:
    """Load the function when it is first asked for: a sweep whose jobs run elsewhere needs no Lightning."""
    if name in __all__:
        import lightning_tricks.hydra.instantiate

        return lightning_tricks.hydra.instantiate.instantiate_callbacks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
