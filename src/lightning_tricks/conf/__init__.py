"""Which tricks, and with what settings: packaged Hydra options, on the search path of every Hydra application."""
