"""Resharding: release the gathered parameters of a sharded model."""

from typing import Any

from torch import nn


def reshard_(model: nn.Module) -> None:
    """Release gathered parameters, which the outermost layers of ``fully_shard`` may keep after a forward pass.

    A gathered parameter is not the sharded object that optimizers and callbacks refer to.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "reshard") and hasattr(module, "unshard"):
            module.reshard()
