"""The product of learning-rate factors and its one writer."""
