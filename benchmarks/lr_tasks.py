"""Small tasks on which learning rates are compared: real tables and images, a synthetic regression, tokens."""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import transformers
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_friedman1,
    make_moons,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH = 32


@dataclass(frozen=True)
class Task:
    """Data in two parts, a network and a loss."""

    name: str
    build: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    train: tuple[Tensor, Tensor]
    val: tuple[Tensor, Tensor]

    def loader(self, seed: int) -> DataLoader:
        """Return the batches of the training part, in an order of their own."""
        generator = torch.Generator().manual_seed(seed)
        return DataLoader(TensorDataset(*self.train), BATCH, shuffle=True, generator=generator)

    def val_loader(self) -> DataLoader:
        """Return the batches of the validation part."""
        return DataLoader(TensorDataset(*self.val), BATCH)


class Learner(L.LightningModule):
    """A task with an optimizer, as a module."""

    def __init__(self, task: Task, optimizer: str, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net, self.loss, self.optimizer, self.lr = task.build(), task.loss, optimizer, 1e-3

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss of a batch."""
        self.log("val_loss", self.loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer that the cell is about."""
        return make_optimizer(self.optimizer, self.net, self.lr)


def make_optimizer(name: str, net: nn.Module, lr: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(net.parameters(), lr, momentum=0.9)
    return torch.optim.AdamW(net.parameters(), lr) if name == "adamw" else torch.optim.Adam(net.parameters(), lr)


def train(task: Task, optimizer: str, lr: float, budgets: Collection[int], seed: int) -> dict[int, float]:
    """Return the loss on the validation part at a constant rate, after each of so many epochs."""
    torch.manual_seed(seed)
    net = task.build()
    step = make_optimizer(optimizer, net, lr)
    x, y = task.train
    generator = torch.Generator().manual_seed(seed)
    found = dict.fromkeys(budgets, float("inf"))
    for epoch in range(1, max(budgets) + 1):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = task.loss(net(x[rows]), y[rows])
            step.zero_grad()
            loss.backward()
            step.step()
        if not loss.isfinite():
            break
        if epoch in found:
            with torch.no_grad():
                value = float(task.loss(net.eval()(task.val[0]), task.val[1]))
            net.train()
            found[epoch] = value if value == value else float("inf")
    return found


def mlp(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """A block of a residual network with layer norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.body = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and what the block adds to it."""
        return x + self.body(self.norm(x))


def residual_mlp(inputs: int, outputs: int, width: int = 48) -> nn.Sequential:
    blocks = [Residual(width) for _ in range(2)]
    return nn.Sequential(nn.Linear(inputs, width), *blocks, nn.LayerNorm(width), nn.Linear(width, outputs))


class RowLSTM(nn.Module):
    """Read an 8×8 image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 10)`` logits for ``(N, 8, 8)`` images."""
        return self.head(self.rows(x)[0][:, -1])


class Tokens(nn.Module):
    """A small BERT with random weights, which says the larger one of the first and the last of 12 tokens."""

    def __init__(self) -> None:
        super().__init__()
        config = transformers.BertConfig(
            vocab_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=12, num_labels=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.net = transformers.BertForSequenceClassification(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 16)`` logits for ``(N, 12)`` tokens."""
        return self.net(x).logits


def _split(x: Tensor, y: Tensor, standard: bool = True) -> dict[str, tuple[Tensor, Tensor]]:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    first, rest = order[: len(x) * 8 // 10], order[len(x) * 8 // 10 :]
    if standard:
        x = (x - x[first].mean(0)) / (x[first].std(0) + 1e-3)
    return {"train": (x[first], y[first]), "val": (x[rest], y[rest])}


def _table(load: Callable[..., Any]) -> tuple[Tensor, Tensor]:
    x, y = load(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def _regression() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1000, 8, generator=generator)
    y = (x[:, :4].sin().sum(1) + x[:, 4] * x[:, 5])[:, None] + 0.1 * torch.randn(1000, 1, generator=generator)
    return x, y


def _tokens() -> tuple[Tensor, Tensor]:
    x = torch.randint(0, 16, (1000, 12), generator=torch.Generator().manual_seed(2))
    return x, torch.maximum(x[:, 0], x[:, -1])


def _moons() -> tuple[Tensor, Tensor]:
    x, y = make_moons(800, noise=0.2, random_state=3)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def _friedman() -> tuple[Tensor, Tensor]:
    x, y = make_friedman1(1200, n_features=10, noise=1.0, random_state=4)
    y = (y - y.mean()) / y.std()
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]


@functools.cache
def tasks() -> dict[str, Task]:
    digits, targets = _table(load_digits)
    diabetes, progress = _table(load_diabetes)
    progress = ((progress - progress.mean()) / progress.std()).float()[:, None]
    ce, mse = F.cross_entropy, F.mse_loss
    made = [
        Task("digits-mlp", lambda: mlp(64, 10, 128), ce, **_split(digits, targets)),
        Task("digits-cnn", cnn, ce, **_split(digits.view(-1, 1, 8, 8) / 16, targets, standard=False)),
        Task("breast_cancer-mlp", lambda: mlp(30, 2), ce, **_split(*_table(load_breast_cancer))),
        Task("diabetes-mlp", lambda: mlp(10, 1), mse, **_split(diabetes, progress)),
        Task("wine-mlp", lambda: mlp(13, 3), ce, **_split(*_table(load_wine))),
        Task("iris-mlp", lambda: mlp(4, 3), ce, **_split(*_table(load_iris))),
        Task("regression-mlp", lambda: mlp(8, 1), mse, **_split(*_regression())),
        Task("tokens-bert", Tokens, ce, **_split(*_tokens(), standard=False)),
        Task("moons-mlp", lambda: mlp(2, 2, 32), ce, **_split(*_moons())),
        Task("friedman-residual", lambda: residual_mlp(10, 1), mse, **_split(*_friedman())),
        Task("digits-lstm", RowLSTM, ce, **_split(digits.view(-1, 8, 8) / 16, targets, standard=False)),
    ]
    return {task.name: task for task in made}
