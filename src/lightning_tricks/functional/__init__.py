"""What happens to the numbers: pure functions and frozen states on torch and the standard library alone."""
