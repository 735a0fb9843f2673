"""What is known of a model, a batch, a step and a run, as frozen numbers, and the words in which rules ask for it."""
