"""Fit with gradual unfreezing on two sharded processes, resume, and write down what trained at each step.

Usage: python unfreezing_ranks.py OUT
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from ranks import strategy_named
from tiny import same, trainer, weights
from torch import nn
from torch.distributed.fsdp import fully_shard
from unfreezing import GROUPS, Deep, LayerRecorder, modules_of

from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing


class Sharded(Deep):
    """Every layer sharded, and no BatchNorm, whose statistics are each rank's own."""

    def __init__(self) -> None:
        super().__init__(norm=nn.LayerNorm)

    def configure_model(self) -> None:
        if not isinstance(self.head.weight, torch.distributed.tensor.DTensor):
            for layer in (self.body[0], self.body[1], self.head):
                fully_shard(layer, mesh=self.device_mesh["data_parallel"])


def run(out: Path, ckpt_path: Path | None = None) -> tuple[Any, LayerRecorder, Any]:
    unfreezing, watch, net = GradualUnfreezing(every="4st", rewarmup="2st", groups=GROUPS), LayerRecorder(), Sharded()
    keep = ModelCheckpoint(out, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    runner = trainer(
        unfreezing, DiscriminativeLR(2.0, groups=GROUPS), keep, watch, CosineDecay(),
        strategy=strategy_named("fsdp2"), devices=2, max_epochs=2,
    )  # fmt: skip
    runner.fit(net, ckpt_path=None if ckpt_path is None else str(ckpt_path))
    return net, watch, runner


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    whole, watch, runner = run(folder / "whole")
    seen: dict[str, Any] = {"training": [modules_of(names) for names in watch.training], "resumed": {}}
    seen["grads"] = [modules_of(names) for names in watch.grads]
    seen["after"] = all(value.requires_grad for value in whole.parameters())
    for step in (2, 5, 9):
        rest, _, _ = run(folder / f"rest{step}", folder / "whole" / f"step={step}.ckpt")
        seen["resumed"][step] = [rest.trace == whole.trace[step:], same(weights(rest), weights(whole))]
    (folder / f"rank{runner.global_rank}.json").write_text(json.dumps(seen))
