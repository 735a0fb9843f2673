"""Follow a logged metric, and keep the weights of its best check."""
