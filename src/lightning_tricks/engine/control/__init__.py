"""Orders to a run through a file."""
