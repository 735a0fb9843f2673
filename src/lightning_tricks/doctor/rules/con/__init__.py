"""CON: what a user states about a model and what does not hold."""
