"""A module whose gradients are scaled or made non-finite in chosen batches, and a fit over such batches."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as lightning_pytorch
import torch
from lightning.pytorch import Callback
from tiny import trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

OPTIMIZERS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=0.01),
    "fused SGD": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=0.01, fused=True),
    "AdamW": lambda params: torch.optim.AdamW(params, lr=0.05, foreach=False),
    "foreach AdamW": lambda params: torch.optim.AdamW(params, lr=0.05, foreach=True),
    "fused AdamW": lambda params: torch.optim.AdamW(params, lr=0.05, fused=True),
    "fused Adagrad": lambda params: torch.optim.Adagrad(params, lr=0.05, fused=True),
}
GOOD = 1.0


class ScaledGradNet(lightning_pytorch.LightningModule):
    """Two layers; a batch is ``(x, y, factor)``, and the factor, 1 in a good batch, multiplies one layer's gradient."""

    def __init__(self, optimizer: str = "SGD", **of_optimizer: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 1)
        self.optimizer = optimizer

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y, factor = batch
        hidden = self.body(x).tanh()
        hidden.register_hook(lambda grad: grad * factor[0])
        return (self.head(hidden) - y).pow(2).mean()

    def configure_optimizers(self) -> Any:
        return OPTIMIZERS[self.optimizer](self.parameters())


def batches(factors: Sequence[float], rank: int = 0, keep_bad: bool = True, apply_factors: bool = True) -> DataLoader:
    """One batch for each factor, other data on each rank; without the bad ones if ``keep_bad`` is false."""
    generator = torch.Generator().manual_seed(rank)
    made = []
    for factor in factors:
        x = torch.randn(5, 4, generator=generator)
        if keep_bad or factor == GOOD:
            made.append((x, x.sum(1, keepdim=True), torch.tensor([factor if apply_factors else GOOD])))
    return DataLoader(made, batch_size=None)


class Loaders(lightning_pytorch.LightningDataModule):
    """The batches, of which one rank alone has the bad ones."""

    def __init__(self, factors: Sequence[float], keep_bad: bool, bad_rank: int) -> None:
        super().__init__()
        self.factors, self.keep_bad, self.bad_rank = factors, keep_bad, bad_rank

    def train_dataloader(self) -> Any:
        rank = self.trainer.global_rank
        return batches(self.factors, rank, self.keep_bad, apply_factors=rank == self.bad_rank)


def run(
    clipper: Callback, factors: Sequence[float], optimizer: str = "SGD", keep_bad: bool = True, **arguments: Any
) -> ScaledGradNet:
    """Fit one epoch and return the module."""
    module = ScaledGradNet(optimizer)
    trainer(clipper, max_epochs=1, **arguments).fit(module, batches(factors, keep_bad=keep_bad))
    return module
