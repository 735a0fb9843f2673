"""Questions: what people ask of networks that do not learn, each as a small program whose cause is known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Build = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """A program, what is asked of it, and the rules of which one has to name the cause."""

    asked: str
    codes: tuple[str, ...]
    build: Build

    @property
    def name(self) -> str:
        return self.build.__name__


QUESTIONS: list[Question] = []


def question(asked: str, *codes: str) -> Callable[[Build], Build]:
    """Mark a function that returns the arguments of `diagnose`; with `fit` among them, those of a fit."""

    def mark(build: Build) -> Build:
        QUESTIONS.append(Question(asked, codes, build))
        return build

    return mark


class Model(L.LightningModule):
    """A net, a loss of its output and the target, and an optimizer."""

    def __init__(
        self,
        net: nn.Module,
        loss: Callable[..., Any] = F.cross_entropy,
        tune: Callable[[list[nn.Parameter]], Any] = lambda params: torch.optim.Adam(params, 1e-3),
    ) -> None:
        super().__init__()
        self.net, self.loss, self.tune = net, loss, tune

    def forward(self, *inputs: Tensor) -> Any:
        return self.net(*inputs)

    def training_step(self, batch: Any, index: int) -> Any:
        *inputs, y = batch
        return self.loss(self(*inputs), y)

    def validation_step(self, batch: Any, index: int) -> None:
        *inputs, y = batch
        self.log("val_loss", self.loss(self(*inputs), y))

    def configure_optimizers(self) -> Any:
        return self.tune([each for each in self.parameters() if each.requires_grad])


def mlp(inputs: int = 8, outputs: int = 3, width: int = 32, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs), *last)


def table(rows: int = 256, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standardized features, and a class that depends on them."""
    x = torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, :classes].argmax(1))


def numbers(rows: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standardized features, and a number `(N,)` that depends on them."""
    x, _ = table(rows, seed=seed)
    return x, x[:, 0] - 0.5 * x[:, 1]


def images(rows: int = 128) -> tuple[Tensor, Tensor]:
    """Images `(N, 3, 16, 16)` in [0, 1], and a class by brightness."""
    x = torch.rand(rows, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return x, (x.mean((1, 2, 3)) > 0.5).long()


def loader(*tensors: Tensor, batch_size: int = 32, shuffle: bool = True, **settings: Any) -> DataLoader:
    return DataLoader(TensorDataset(*tensors), batch_size, shuffle=shuffle, **settings)


def on(model: nn.Module, rows: tuple[Tensor, ...], **others: Any) -> dict[str, Any]:
    """A model and a training loader of rows."""
    return {"model": model, "train_dataloaders": loader(*rows), **others}
