"""A sharded module, its strategy and a recorder of what each rank saw, for programs on two processes."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import ModelParallelStrategy
from tiny import Net, weights
from torch.distributed.fsdp import fully_shard


class ShardedNet(Net):
    """Weights sharded over the ranks (FSDP2)."""

    def configure_model(self) -> None:
        if not isinstance(self.head.weight, torch.distributed.tensor.DTensor):
            fully_shard(self.head, mesh=self.device_mesh["data_parallel"])


class SaveRank(Callback):
    """Save the rates, weights and callback states of this rank to a file of its own."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        states = {cb.state_key: cb.state_dict() for cb in trainer.callbacks}
        seen = {"trace": pl_module.trace, "weights": weights(pl_module), "states": states}
        torch.save(seen, self.out / f"rank{trainer.global_rank}.pt")


def strategy_named(name: str) -> Any:
    """Return what `Trainer(strategy=...)` takes; "fsdp2" shards over two processes with gloo."""
    if name != "fsdp2":
        return name
    return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo")
