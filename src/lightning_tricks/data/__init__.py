"""The rows that a model sees: datasets, splits, weights, feature caches."""
