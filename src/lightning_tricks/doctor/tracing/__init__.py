"""Run one training step, record its operations, and restore everything."""
