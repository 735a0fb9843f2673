"""Plan, record and compare many runs."""
