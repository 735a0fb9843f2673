"""OPT: optimizers, learning rates and schedulers."""
