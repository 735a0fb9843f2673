"""Fit all public callbacks at once, as one process of several on the devices of `make gpu`, and save what it saw.

Usage: python device_ranks.py ACCELERATOR STRATEGY DEVICES OUT, with STRATEGY of single, gloo (two nodes), nccl, fsdp2.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from ranks import SaveRank, ShardedNet
from tiny import Net, trainer
from tricks import TINY


def strategy_named(name: str) -> Any:
    if name == "fsdp2":
        return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    return "auto" if name == "single" else DDPStrategy(process_group_backend=name)


def main(accelerator: str, strategy: str, devices: int, out: Path) -> None:
    torch.set_num_threads(1)
    callbacks = [make() for make in TINY.values()]
    net = ShardedNet() if strategy == "fsdp2" else Net()
    trainer(
        *callbacks,
        SaveRank(out),
        accelerator=accelerator,
        strategy=strategy_named(strategy),
        devices=devices,
        num_nodes=2 if strategy == "gloo" else 1,
        max_epochs=2,
    ).fit(net)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
