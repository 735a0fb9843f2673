"""ACT: activations."""
