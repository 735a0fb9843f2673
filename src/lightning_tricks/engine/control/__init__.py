"""Orders to a run that a file brings."""
