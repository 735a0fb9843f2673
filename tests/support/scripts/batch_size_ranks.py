"""Fit on two processes after a batch size search, and without one; write down what each came to.

One process is slower than the other, which alone runs out of memory. Usage: python batch_size_ranks.py OUT
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from tiny import Net, trainer, weights
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import find_batch_size

X = torch.randn(192, 4, generator=torch.Generator().manual_seed(3))
DATA = TensorDataset(X, X.sum(1, keepdim=True).tanh())


class Uneven(Net):
    """A module that behaves differently on each process."""

    looks = True

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.looks and self.global_rank == 1 and len(batch[0]) == 32:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB.")
        if self.looks and self.global_rank == 0:
            time.sleep(0.002)
        return super().training_step(batch, batch_idx)


def run(look: bool, out: Path) -> dict[str, Any]:
    net, loaders = Uneven(), (DataLoader(DATA, 8, shuffle=True), DataLoader(DATA, 32))
    runner = trainer(strategy="ddp", devices=2, max_epochs=2)
    found = None
    if look:
        result = find_batch_size(
            net, loaders[0], val_dataloaders=loaders[1], trainer=runner, sizes=[8, 16, 32], budget=3
        )
        found = result.to_dict()
    net.looks = False
    runner.fit(net, *loaders)
    return {"weights": weights(net), "rank": runner.global_rank, "found": found}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    one = run(look=True, out=folder)
    torch.manual_seed(0)
    other = run(look=False, out=folder)
    torch.save([one, other], folder / f"both{one['rank']}.pt")
