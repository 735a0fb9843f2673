"""Clip on two gloo processes under FSDP2, and write down weights, states and norms as one process would have them."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy
from tiny import trainer
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from lightning_tricks import AdaptiveGradientClipping, AutoClip, GradientClipping, ZClip

NAN = float("nan")
CASES = {
    "norm": (lambda: GradientClipping(0.3), "SGD"),
    "inf norm": (lambda: GradientClipping(0.05, norm_type="inf"), "SGD"),
    "per group": (lambda: GradientClipping(0.2, per_group=True), "SGD"),
    "value": (lambda: GradientClipping(clip_value=0.02), "SGD"),
    "AGC": (lambda: AdaptiveGradientClipping(0.01), "SGD"),
    "AutoClip": (lambda: AutoClip(50, window=3), "SGD"),
    "ZClip": (lambda: ZClip(0.5, warmup=2, alpha=0.8), "SGD"),
    "fused": (lambda: GradientClipping(0.3, max_skips=2), "fused"),
}


class Sharded(LightningModule):
    """Weights with uneven shards: 5 and 3 rows on two ranks, and an empty one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 1)
        self.seen: list[float] = []

    def configure_model(self) -> None:
        if self.device_mesh is not None and not hasattr(self.body.weight, "placements"):
            for layer in (self.body, self.head):
                fully_shard(layer, mesh=self.device_mesh["data_parallel"])

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.head(self.body(batch[:, :4]).tanh()) - batch[:, 4:]).pow(2).mean()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        if grads:
            norm = torch.nn.utils.get_total_norm(grads)
            self.seen.append(float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm))

    def configure_optimizers(self) -> Any:
        groups = [{"params": self.body.parameters()}, {"params": self.head.parameters()}]
        if self.kind == "fused":
            return torch.optim.AdamW(groups, lr=0.01, fused=True)
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def loader(rows: slice) -> DataLoader:
    """Six batches of eight rows, or a rank's half of each; a NaN in the second half of two of them."""
    data = torch.randn(6, 8, 5, generator=torch.Generator().manual_seed(1))
    data[[2, 4], 7, 0] = NAN
    return DataLoader([batch[rows].clone() for batch in data], batch_size=None)


def whole(tensor: Any) -> Tensor:
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def run(name: str, rank: int | None, strategy: Any) -> dict[str, Any]:
    """Fit one case; on one process with all rows, else with this rank's."""
    make, kind = CASES[name]
    clipper, net = make(), Sharded(kind)
    arguments = {"strategy": strategy, "devices": 2} if strategy else {}
    runner = trainer(clipper, max_epochs=1, use_distributed_sampler=False, **arguments)
    collected: dict[str, Any] = {}

    def collect() -> None:
        weights = {key: whole(value) for key, value in net.named_parameters()}
        collected.update(weights=weights, state=clipper.state_dict(), skipped=clipper.num_skipped, seen=net.seen)

    net.on_train_end = collect
    runner.fit(net, loader(slice(None) if rank is None else slice(4 * rank, 4 * rank + 4)))
    return collected


def run_on(rank: int, port: int, out: Path) -> None:
    """Run all cases as one rank of two that another writer started."""
    torch.set_num_threads(1)
    place = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    found = {}
    for name in CASES:
        strategy = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, process_group_backend="gloo")
        found[name] = run(name, rank, strategy)
    torch.save(found, out / f"rank{rank}.pt")
