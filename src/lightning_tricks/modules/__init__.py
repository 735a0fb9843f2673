"""Layers and losses from which a model can be built, as torch modules."""
