"""Facts about a model, a batch, a step and a run as frozen numbers, and the vocabulary in which rules read them."""
