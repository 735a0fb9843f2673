"""Measure loaders, data sets, optimizers, parameters and source code."""
