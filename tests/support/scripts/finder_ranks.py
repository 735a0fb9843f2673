"""Fit on two sharded processes with a finder that changes nothing, and without one; write down what each came to.

Usage: python finder_ranks.py OUT
"""

import sys
from pathlib import Path
from typing import Any

import torch
from ranks import SaveRank, ShardedNet, strategy_named
from tiny import LargeBatchNet, trainer, weights

from lightning_tricks import LRFinder


class LargeBatchShardedNet(LargeBatchNet, ShardedNet):
    """Sharded weights, and a loss without much noise."""


def run(finder: LRFinder | None, out: Path) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    net = LargeBatchShardedNet()
    callbacks = [finder] if finder else []
    runner = trainer(*callbacks, SaveRank(out), strategy=strategy_named("fsdp2"), devices=2, max_epochs=2)
    runner.fit(net)
    found = finder.result.to_dict() if finder and finder.result else None
    return {"weights": weights(net), "trace": net.trace, "rank": runner.global_rank, "found": found}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    one = run(LRFinder(min_lr=1e-4, num_steps=40, refine=5, apply=False, at_epochs=(0, 1)), folder / "with")
    other = run(None, folder / "without")
    torch.save([one, other], folder / f"both{one['rank']}.pt")
