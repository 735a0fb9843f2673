"""The gradients of a training step on a copy in float64: compared with finite differences, and how noisy they are."""
