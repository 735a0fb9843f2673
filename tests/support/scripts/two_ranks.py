"""Fit all public callbacks at once on two processes and save what each of them saw.

Usage: python two_ranks.py STRATEGY OUT, with STRATEGY of ddp, ddp_spawn, fsdp2.
"""

import sys
from pathlib import Path

import torch
from ranks import SaveRank, ShardedNet, strategy_named
from tiny import Net, trainer
from tricks import TINY


def main(strategy: str, out: Path) -> None:
    torch.set_num_threads(1)
    callbacks = [make() for make in TINY.values()]
    net = ShardedNet() if strategy == "fsdp2" else Net()
    trainer(*callbacks, SaveRank(out), strategy=strategy_named(strategy), devices=2, max_epochs=2).fit(net)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
