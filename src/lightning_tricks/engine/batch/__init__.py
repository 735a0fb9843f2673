"""What is done to each batch between its transfer and the training step."""
