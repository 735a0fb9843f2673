"""NUM: numbers that are not finite."""
