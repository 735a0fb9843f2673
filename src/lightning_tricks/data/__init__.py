"""Which rows does a model see? Datasets, splits, weights, feature caches."""
