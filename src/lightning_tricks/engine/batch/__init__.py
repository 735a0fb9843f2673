"""Processing of each batch between its transfer and the training step."""
