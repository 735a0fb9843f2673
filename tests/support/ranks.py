"""A sharded module, its strategy and a record of what each rank saw, for programs on two processes."""

from collections.abc import Callable
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


def decisions(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """Return the rates of each step, the weights and the states of all callbacks."""
    states = {callback.state_key: callback.state_dict() for callback in trainer.callbacks}
    return {"trace": pl_module.trace, "weights": weights(pl_module), "states": states}


class SaveRank(Callback):
    """Save what ``read(trainer, module)`` returns in a hook, each rank to a file of its own."""

    def __init__(self, folder: Path, read: Callable[[Any, Any], Any] = decisions, hook: str = "on_train_end") -> None:
        self.folder, self.read = folder, read
        setattr(self, hook, self.save)

    def save(self, trainer: Any, pl_module: Any) -> None:
        torch.save(self.read(trainer, pl_module), self.folder / f"rank{trainer.global_rank}.pt")


def load_ranks(folder: Path, count: int = 2) -> list[Any]:
    """Return what each rank saved."""
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(count)]


def strategy_named(name: str) -> Any:
    """Return what `Trainer(strategy=...)` takes; "fsdp2" shards over two processes with gloo."""
    if name != "fsdp2":
        return name
    return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo")
