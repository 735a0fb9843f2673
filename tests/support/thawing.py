"""Fit with gradual unfreezing and see at each step what trains; as a script, on two sharded processes, then resume.

Usage: python thawing.py OUT
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import Net, same, trainer, weights
from torch import nn
from torch.distributed.fsdp import fully_shard
from two_ranks import strategy_named

from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing

GROUPS: Any = ["body.0.*", "body.1.*", "head.*"]


class Deep(Net):
    """A Dropout in the body, and one optimizer group, as people write it."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm1d, **options: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), norm(8), nn.Dropout(0.0), nn.ReLU())
        self.options = options

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.1, weight_decay=0.1, **self.options)


class Sharded(Deep):
    """Every layer sharded, and no BatchNorm, whose statistics are each rank's own."""

    def __init__(self) -> None:
        super().__init__(norm=nn.LayerNorm)

    def configure_model(self) -> None:
        if not isinstance(self.head.weight, torch.distributed.tensor.DTensor):
            for layer in (self.body[0], self.body[1], self.head):
                fully_shard(layer, mesh=self.device_mesh["data_parallel"])


class Watch(Callback):
    """What trains and has state, by module, before each optimizer step; all weights after each."""

    def __init__(self) -> None:
        self.training: list[list[str]] = []
        self.resting: list[list[str]] = []
        self.grads: list[list[str]] = []
        self.states: list[list[str]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        names = {id(value): name for name, value in pl_module.named_parameters()}
        self.training.append([name for name, value in pl_module.named_parameters() if value.requires_grad])
        self.grads.append([name for name, value in pl_module.named_parameters() if value.grad is not None])
        self.resting.append([name for name, module in pl_module.named_modules() if not module.training])
        held = {names[id(value)] for optimizer in trainer.optimizers for value in optimizer.state}
        self.states.append([name for name in names.values() if name in held])
        self.weights.append(weights(pl_module))


def modules_of(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name.rsplit(".", 1)[0] for name in names))


def run(out: Path, ckpt_path: Path | None = None) -> tuple[Any, Watch, Any]:
    unfreezing, watch, net = GradualUnfreezing(every="4st", rewarmup="2st", groups=GROUPS), Watch(), Sharded()
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
