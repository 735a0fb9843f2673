"""Measure loaders, datasets, optimizers, parameters and source code."""
