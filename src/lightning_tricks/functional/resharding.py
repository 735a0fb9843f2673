"""Resharding: let go of gathered parameters of a sharded model."""

from typing import Any

from torch import nn


def reshard_(model: nn.Module) -> None:
    """Let go of gathered parameters, which the outermost layers of ``fully_shard`` may hold after a forward pass.

    A gathered parameter is another object than the sharded one, which optimizers and callbacks know.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "reshard") and hasattr(module, "unshard"):
            module.reshard()
