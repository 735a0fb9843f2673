"""Compose tricks with Hydra: the options that were selected become a list of callbacks."""

from lightning_tricks.hydra.instantiate import instantiate_callbacks

__all__ = ["instantiate_callbacks"]
