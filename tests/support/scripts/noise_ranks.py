"""Measure the gradient noise scale on two processes, together and alone; each rank saves what it found.

Usage: python noise_ranks.py OUT
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_tricks import gradient_noise_scale


class Linear(nn.Module):
    """A linear regression whose weights are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.mse_loss(x @ self.weight, y)


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, 10, generator=generator)
    y = x @ torch.full((10,), 10**-0.5) + 2.0 * torch.randn(512, generator=generator)
    order = torch.randperm(512, generator=generator)
    return list(zip(x[order].split(64), y[order].split(64), strict=True))


def measure(rank: int, folder: str) -> None:
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    own = batches()[rank::2]
    found = {
        "together": tuple(gradient_noise_scale(Linear(), own, across_ranks=True)),
        "one batch each": tuple(gradient_noise_scale(Linear(), own[:1], num_batches=1, across_ranks=True)),
        "alone": tuple(gradient_noise_scale(Linear(), own)),
    }
    halves = [(x[:32], y[:32]) for x, y in own] if rank else own
    try:
        gradient_noise_scale(Linear(), halves, across_ranks=True)
    except ValueError as error:
        found["error"] = str(error)
    torch.save(found, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.start_processes(measure, (str(Path(sys.argv[1])),), nprocs=2, start_method="fork")
