"""RUN: problems that appear during training."""
