"""Gradients of a training step on a copy in float64: comparison with finite differences, and their noise."""
