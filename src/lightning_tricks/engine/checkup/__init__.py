"""Measurements of the doctor during training."""
