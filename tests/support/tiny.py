"""Tiny modules and loaders on which a whole life-cycle takes a fraction of a second."""

import csv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as lightning_pytorch
import pytorch_lightning
import torch
from torch import Tensor, nn

BATCHES = 6


class StatefulLoader:
    """A loader that resumes inside an epoch: it saves its position; the Trainer tells its sampler the epoch.

    (Lightning does not load a loader's state from an end-of-epoch checkpoint, so the epoch must not be part of it.)
    """

    def __init__(self, batches: int = BATCHES, batch_size: int = 4, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(batches * batch_size, 4, generator=generator)
        self.y = self.x.sum(1, keepdim=True).tanh()
        self.batches, self.batch_size = batches, batch_size
        self.epoch, self.start, self.position = 0, 0, 0
        self.batch_sampler = SimpleNamespace(sampler=self)  # where a Trainer looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.epoch))
        for position, rows in enumerate(order.view(self.batches, self.batch_size)):
            if position < self.start:
                continue
            self.position = position + 1
            if self.position == self.batches:
                self.start, self.position = 0, 0
            yield self.x[rows], self.y[rows]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = self.position = state["position"]


class Endless(torch.utils.data.IterableDataset):
    """A stream of samples without a length."""

    def __init__(self, samples: int = BATCHES * 4) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(self.samples):
            x = torch.randn(4, generator=generator)
            yield x, x.sum(0, keepdim=True).tanh()


class _Net:
    """Two layers with a BatchNorm between; records the learning rates that each optimizer step uses."""

    def __init__(self, manual: bool = False, steps_per_batch: int = 1, lr: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, 1)
        self.automatic_optimization = not manual
        self.steps_per_batch = steps_per_batch
        self.lr = lr
        self.trace: list[tuple[int, list[float]]] = []

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return (self.head(self.body(x)) - y).pow(2).mean()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        if self.automatic_optimization:
            loss = self.loss(batch)
            self.log("train_loss", loss)
            return loss
        body, head = self.optimizers()
        for _ in range(self.steps_per_batch):
            for optimizer in (body, head) if batch_idx % 2 else (body,):
                optimizer.zero_grad()
                self.manual_backward(self.loss(batch))
                optimizer.step()
        return None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        index = next(i for i, other in enumerate(self.trainer.optimizers) if other is optimizer)
        self.trace.append((index, [float(group["lr"]) for group in optimizer.param_groups]))

    def configure_optimizers(self) -> Any:
        if self.automatic_optimization:
            groups = [
                {"params": self.body.parameters(), "lr": self.lr / 10},
                {"params": self.head.parameters(), "lr": self.lr},
            ]
            return torch.optim.SGD(groups, lr=self.lr, momentum=0.9)
        return [
            torch.optim.SGD(self.body.parameters(), lr=self.lr / 10, momentum=0.9),
            torch.optim.AdamW(self.head.parameters(), lr=self.lr),
        ]

    def train_dataloader(self) -> StatefulLoader:
        return StatefulLoader(seed=self.trainer.global_rank)

    def val_dataloader(self) -> StatefulLoader:
        return StatefulLoader(batches=2, seed=100 + self.trainer.global_rank)


class Net(_Net, lightning_pytorch.LightningModule):
    """The tiny module of the `lightning` package."""


class LargeBatchNet(Net):
    """`Net` with batches of 32 rows, large enough for a loss without much noise."""

    def train_dataloader(self) -> StatefulLoader:
        return StatefulLoader(batch_size=32, seed=self.trainer.global_rank)


class OtherNet(_Net, pytorch_lightning.LightningModule):
    """The tiny module of the `pytorch_lightning` package."""


def trainer(*callbacks: Any, package: Any = lightning_pytorch, **arguments: Any) -> Any:
    """A silent Trainer on one CPU process."""
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": any("Checkpoint" in type(cb).__name__ for cb in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 3 if "max_steps" not in arguments else None,
    }
    return package.Trainer(callbacks=list(callbacks), **{**quiet, **arguments})


def fit(*callbacks: Any, net: Any = None, ckpt_path: str | Path | None = None, **arguments: Any) -> Any:
    """Fit a tiny module and return it."""
    net = Net() if net is None else net
    trainer(*callbacks, **arguments).fit(net, ckpt_path=None if ckpt_path is None else str(ckpt_path))
    return net


def logged(logger: Any, column: str) -> list[tuple[int, float]]:
    """What a CSVLogger wrote in one column, with the step of each value."""
    with open(Path(logger.log_dir) / "metrics.csv", newline="") as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row[column]]


def weights(net: Any) -> dict[str, Tensor]:
    """A copy of all parameters and buffers; of sharded ones, this rank's part."""
    return {
        name: (value.to_local() if hasattr(value, "to_local") else value).detach().clone()
        for name, value in net.state_dict().items()
    }


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, tensors and nested containers included."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)
