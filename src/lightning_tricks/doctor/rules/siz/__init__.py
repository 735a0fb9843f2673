"""SIZ: sizes of layers and models."""
