"""Training steps that are taken and then undone."""
