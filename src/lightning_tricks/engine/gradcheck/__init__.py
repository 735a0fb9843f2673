"""The gradients of a training step, compared with finite differences on a copy in float64."""
