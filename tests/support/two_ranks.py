"""Fit all public callbacks at once on two processes, and write down what each of them saw.

Usage: python two_ranks.py STRATEGY OUT, with STRATEGY of ddp, ddp_spawn, fsdp2.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import ModelParallelStrategy
from tiny import Net, trainer, weights
from torch.distributed.fsdp import fully_shard
from tricks import TINY


class ShardedNet(Net):
    """Weights sharded over the ranks (FSDP2)."""

    def configure_model(self) -> None:
        if not isinstance(self.head.weight, torch.distributed.tensor.DTensor):
            fully_shard(self.head, mesh=self.device_mesh["data_parallel"])


class WriteDown(Callback):
    """Write what this rank saw to a file of its own."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        states = {cb.state_key: cb.state_dict() for cb in trainer.callbacks}
        seen = {"trace": pl_module.trace, "weights": weights(pl_module), "states": states}
        torch.save(seen, self.out / f"rank{trainer.global_rank}.pt")


def strategy_named(name: str) -> Any:
    if name != "fsdp2":
        return name
    return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo")


def main(strategy: str, out: Path) -> None:
    torch.set_num_threads(1)
    callbacks = [make() for make in TINY.values()]
    net = ShardedNet() if strategy == "fsdp2" else Net()
    trainer(*callbacks, WriteDown(out), strategy=strategy_named(strategy), devices=2, max_epochs=2).fit(net)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
