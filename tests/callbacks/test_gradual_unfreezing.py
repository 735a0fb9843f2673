"""GradualUnfreezing: to be."""
