"""How many runs are planned, recorded and compared."""
