"""A module and loaders with everything in them that a step may change, and all that tells one run from another."""

import random
from typing import Any

import lightning.pytorch as lightning_pytorch
import numpy as np
import torch
import torchmetrics
from lightning.pytorch import Callback
from tiny import Endless, StatefulLoader, trainer, weights
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset, WeightedRandomSampler

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))
Y = X.sum(1, keepdim=True).tanh()
DATA = TensorDataset(X, Y)


class StatefulNet(lightning_pytorch.LightningModule):
    """Everything that a step may change: dropout, BatchNorm, buffers, a metric, counters, recurrent state, logs."""

    def __init__(self, optimizer: str = "adam", scheduler: str | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 1)
        self.register_buffer("count", torch.zeros(()), persistent=False)
        self.metric = torchmetrics.MeanMetric()
        self.hidden: Tensor | None = None
        self.history: list[float] = []
        self.memo: dict[str, Any] = {"steps": 0, "noise": np.zeros(3)}
        self.dice = random.Random(1)
        self.optimizer, self.scheduler = optimizer, scheduler

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        batch = batch["one"] if isinstance(batch, dict) and "one" in batch else batch
        x, y = (batch["x"], batch["y"]) if isinstance(batch, dict) else batch
        self.count += 1
        self.memo["steps"] += 1
        self.memo["noise"] += np.random.randn(3)
        self.history.append(self.dice.random() + random.random())
        out = self.head(self.body(x + 0.1 * torch.randn_like(x)))
        self.hidden = out.mean().detach() if self.hidden is None else self.hidden * 0.9 + out.mean().detach()
        loss = (out - y).pow(2).mean() + 0.01 * self.hidden * out.mean()
        self.metric.update(loss.detach())
        self.log("train_loss", loss)
        self.log("metric", self.metric, on_step=False, on_epoch=True)
        self.logger.log_metrics({"direct": 1.0}) if self.logger else None
        return loss

    def configure_optimizers(self) -> Any:
        groups = [{"params": self.body.parameters(), "lr": 0.001}, {"params": self.head.parameters(), "lr": 0.01}]
        made = {
            "adam": lambda: torch.optim.Adam(groups),
            "tensor": lambda: torch.optim.Adam(self.parameters(), lr=torch.tensor(0.01)),
            "sgd": lambda: torch.optim.SGD(groups, momentum=0.9),
            "lbfgs": lambda: torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3),
        }[self.optimizer]()
        schedulers = {
            "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(made, 40),
            "lambda": lambda: torch.optim.lr_scheduler.LambdaLR(made, lambda step: 0.9**step),
            "cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(made, [0.01, 0.1], 40),
            "plateau": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(made),
            "sequence": lambda: torch.optim.lr_scheduler.SequentialLR(
                made,
                [
                    torch.optim.lr_scheduler.LinearLR(made, 0.1, total_iters=5),
                    torch.optim.lr_scheduler.CosineAnnealingLR(made, 40),
                ],
                [5],
            ),
        }
        if self.scheduler is None:
            return made
        scheduler = {"scheduler": schedulers[self.scheduler](), "interval": "step", "monitor": "train_loss"}
        return [made], [scheduler]


def own_generator() -> DataLoader:
    return DataLoader(DATA, 4, shuffle=True, generator=torch.Generator().manual_seed(5))


def drawn_with_replacement() -> DataLoader:
    sampler = RandomSampler(DATA, replacement=True, num_samples=40, generator=torch.Generator().manual_seed(5))
    return DataLoader(DATA, 4, sampler=sampler)


def weighted() -> DataLoader:
    generator = torch.Generator().manual_seed(5)
    return DataLoader(DATA, 4, sampler=WeightedRandomSampler([1.0] * 40, 40, generator=generator))


class Counting(torch.utils.data.IterableDataset):
    """A stream that remembers where it stands."""

    def __init__(self) -> None:
        self.position = 0

    def __iter__(self) -> Any:
        for _ in range(20):
            self.position = (self.position + 1) % 40
            yield X[self.position], Y[self.position]


class Dicts(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": X[index], "y": Y[index]}


LOADERS = {
    "global generator": lambda: DataLoader(DATA, 4, shuffle=True),
    "own generator": own_generator,
    "replacement": drawn_with_replacement,
    "weighted": weighted,
    "persistent workers": lambda: DataLoader(DATA, 4, shuffle=True, num_workers=1, persistent_workers=True),
    "stateful": StatefulLoader,
    "endless": lambda: DataLoader(Endless(), 4),
    "counting stream": lambda: DataLoader(Counting(), 4),
    "large batches": lambda: DataLoader(DATA, 20, shuffle=True),
    "dicts": lambda: DataLoader(Dicts(), 4, shuffle=True),
    "two at once": lambda: {"one": DataLoader(DATA, 4, shuffle=True), "other": DataLoader(DATA, 2, shuffle=True)},
}


def fit_stateful(finder: Callback | None, loader: str = "global generator", **arguments: Any) -> tuple[Any, Any]:
    of_net = {key: arguments.pop(key) for key in ("optimizer", "scheduler") if key in arguments}
    random.seed(0)
    np.random.seed(0)
    net = arguments.pop("net", None) or StatefulNet(**of_net)
    torch.manual_seed(7)
    callbacks = [*arguments.pop("callbacks", []), *([finder] if finder else [])]
    runner = trainer(*callbacks, **{"max_epochs": 2, **arguments})
    runner.fit(net, LOADERS[loader]())
    return runner, net


def end_state(runner: Any, net: Any) -> dict[str, Any]:
    """Everything that could tell a run from another."""
    return {
        "weights": weights(net),
        "optimizers": [optimizer.state_dict()["state"] for optimizer in runner.optimizers],
        "rates": [[group["lr"] for group in optimizer.param_groups] for optimizer in runner.optimizers],
        "schedulers": [config.scheduler.state_dict() for config in runner.lr_scheduler_configs],
        "random": [torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()],
        "steps": (runner.global_step, runner.current_epoch),
        "metrics": dict(runner.callback_metrics),
        "count": net.count,
        "hidden": net.hidden,
        "history": net.history,
        "memo": (net.memo["steps"], net.memo["noise"].tolist()),
        "modes": [module.training for module in net.modules()],
    }
