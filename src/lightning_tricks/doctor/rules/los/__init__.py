"""LOS: losses."""
