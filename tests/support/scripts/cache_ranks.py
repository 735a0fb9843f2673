"""Two processes write one feature cache; then one of them fails."""

import os
import sys
from pathlib import Path

import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_tricks import cache_features


class Double(nn.Module):
    """Counts its calls; fails on rank 1 if told so."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.calls, self.fail = 0, fail

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.fail and self.calls == 3 and torch.distributed.get_rank() == 1:
            raise ValueError("no more rows")
        return 2 * x


def work(rank: int, folder: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    torch.distributed.init_process_group("gloo", f"file://{folder}/.store", rank=rank, world_size=2)
    loader = DataLoader(torch.arange(24.0).view(12, 2), batch_size=2)
    model = Double()
    features = cache_features(model, loader, folder / "cache", shard_rows=2, progress=False)
    error = ""
    try:
        cache_features(Double(fail=True), loader, folder / "other", shard_rows=2, progress=False)
    except (RuntimeError, ValueError) as raised:
        error = str(raised)
    rows = torch.stack([features[i][0] for i in range(len(features))])
    torch.save({"features": rows, "calls": model.calls, "error": error}, folder / f"rank{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(work, (Path(sys.argv[1]),), nprocs=2, start_method="fork")
