"""Fit with early stopping and the plateau rule on two sharded processes, then resume; write down what was restored.

Usage: python watch_ranks.py OUT
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from ranks import strategy_named
from scripted import Scripted, endless
from tiny import same, trainer, weights
from torch.distributed.fsdp import fully_shard

from lightning_tricks import EarlyStopping, ReduceLROnPlateau


class Sharded(Scripted):
    """Two layers sharded, each by itself: such a one stays gathered after a forward pass."""

    def configure_model(self) -> None:
        if not isinstance(self.head.weight, torch.distributed.tensor.DTensor):
            fully_shard(self.body[0], mesh=self.device_mesh["data_parallel"])
            fully_shard(self.head, mesh=self.device_mesh["data_parallel"])


class Checks(Callback):
    """This rank's part of the weights at each check, and at the end of fit, when they are back."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.parts.append(weights(pl_module))

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self.parts.append(weights(pl_module))


def run(out: Path, scores: list[float], ckpt_path: Path | None = None, **arguments: Any) -> dict[str, Any]:
    seen, stop = Checks(), EarlyStopping("score", patience=4)
    rules = [stop, ReduceLROnPlateau("score", patience=2, restore_best=True)]
    keep = ModelCheckpoint(out / "files", filename="{epoch}", save_top_k=-1)
    net = Sharded(scores, by_rank=1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runner = trainer(*rules, seen, keep, strategy=strategy_named("fsdp2"), devices=2, **arguments)
        runner.fit(net, ckpt_path=None if ckpt_path is None else str(ckpt_path))
    back = [i for i, part in enumerate(seen.parts[:-1]) if same(part, seen.parts[-1])]
    return {
        "back": back,
        "checks": len(seen.parts) - 1,
        "best": stop.best_score,
        "reason": stop.stopping_reason_message,
        "cuts": rules[1].num_reductions,
        "warned": sum("does not contain the weights" in str(w.message) for w in caught),
        "saved": [rule.state_dict()["weights"] for rule in rules],
        "share": net.head.weight.to_local().numel(),
        "rank": runner.global_rank,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    whole = run(folder, endless(3.0, 1.0), max_epochs=40)
    rest = run(folder, endless(7.0, 5.0), folder / "files" / "epoch=2.ckpt", max_epochs=6)
    (folder / f"rank{whole['rank']}.json").write_text(json.dumps([whole, rest]))
