"""Programs: models of other packages with random weights, random data of the right kind, and an optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Build = Callable[[], tuple[L.LightningModule, Any]]
Loss = Callable[..., Tensor]
ROWS, BATCH_SIZE = 256, 16


@dataclass(frozen=True)
class Program:
    """A model of a package, its training data, and the true findings at warning or above with the reason for each."""

    package: str
    build: Build = field(repr=False)
    name: str
    known: Mapping[str, str] = field(default_factory=dict)


PROGRAMS: list[Program] = []


def program(package: str, **known: str) -> Callable[[Build], Build]:
    """Mark a function that returns a model and a training loader; ``known`` gives the reason for each true finding."""

    def mark(build: Build) -> Build:
        PROGRAMS.append(Program(package, build, build.__name__, known))
        return build

    return mark


def add(package: str, name: str, build: Build, **known: str) -> None:
    """Add a program that is one of a table's rows."""
    PROGRAMS.append(Program(package, build, name, known))


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 1e-3)


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, 5e-4, weight_decay=0.05)


def momentum(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, 0.02, momentum=0.9, weight_decay=1e-4)


class Trained(L.LightningModule):
    """A net, a loss of its output and the last part of the batch, and an optimizer."""

    def __init__(self, net: nn.Module, loss: Loss = F.cross_entropy, tune: Callable[[Any], Any] = adam) -> None:
        super().__init__()
        self.net, self.loss, self.tune = net, loss, tune

    def forward(self, *inputs: Any) -> Any:
        return self.net(*inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        *inputs, target = batch
        loss = self.loss(self(*inputs), target)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return self.tune([parameter for parameter in self.parameters() if parameter.requires_grad])


class Stepping(Trained):
    """A model whose step is a function of the module and the batch."""

    def __init__(
        self, step: Callable[[Any, Any], Tensor], tune: Callable[[Any], Any] = adam, **parts: nn.Module
    ) -> None:
        super().__init__(nn.ModuleDict(parts), tune=tune)
        self.step = step

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.step(self.net, batch)
        self.log("train_loss", loss)
        return loss


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def loader(*tensors: Tensor, size: int = BATCH_SIZE, **arguments: Any) -> DataLoader:
    return DataLoader(TensorDataset(*tensors), size, shuffle=True, **arguments)


def classes(rows: int = ROWS, count: int = 3, seed: int = 1) -> Tensor:
    return torch.randint(count, (rows,), generator=seeded(seed))


def images(side: int = 32, channels: int = 3, count: int = 3, dims: int = 2, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Standardized images ``(rows, channels, side, …)``, each brighter in one stripe, and the stripe's number."""
    y = classes(rows, count)
    x = drawn(rows, channels, *[side] * dims)
    width = side // count
    for row, label in enumerate(y.tolist()):
        x[row, :, label * width : (label + 1) * width] += 1.0
    return x, y


def series(length: int = 24, horizon: int = 6, channels: int = 1, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Noisy sines ``(rows, length, channels)``, and what follows ``(rows, horizon, channels)``."""
    start, pace = drawn(rows, 1, channels), 0.3 + 0.2 * drawn(rows, 1, channels, seed=1).tanh()
    time = torch.arange(length + horizon)[None, :, None]
    values = (start + pace * time).sin() * 1.4 + 0.1 * drawn(rows, length + horizon, channels, seed=2)
    return values[:, :length], values[:, length:]


def tokens(length: int = 12, words: int = 40, rows: int = ROWS) -> Tensor:
    """Ids ``(rows, length)`` that count upwards from a random start."""
    start = torch.randint(words, (rows, 1), generator=seeded())
    return (start + torch.arange(length)) % (words - 3) + 3


def first_batches(data: Any, count: int) -> list[Any]:
    return list(islice(iter(data), count))
