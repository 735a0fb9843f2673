"""Plots and text reports; plotting libraries are imported inside the functions that draw."""
