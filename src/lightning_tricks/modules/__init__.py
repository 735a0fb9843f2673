"""Which layers and losses can a model be built from? Modules of torch."""
