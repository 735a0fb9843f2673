"""Two processes under a Trainer: a weighted sampler, a center loss and a loss balancer; each rank saves what it saw."""

import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import CenterLoss, LossBalancer, weighted_sampler


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(24, 3, generator=generator), torch.arange(24) % 4, torch.arange(24))


class Seen(pl.LightningModule):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.layer = folder, nn.Linear(3, 3)
        self.center_loss = CenterLoss(4, 3)
        self.balancer = LossBalancer(["main", "extra"], max_ratio=10.0)
        self.rows: list[Tensor] = []
        self.losses: list[Tensor] = []

    def train_dataloader(self) -> DataLoader:
        return DataLoader(data(), batch_size=3, sampler=weighted_sampler(torch.arange(1, 25), 12, seed=1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y, row = batch
        loss = self.center_loss(x, y)
        self.rows.append(row)
        self.losses.append(loss)
        return self.layer(x).mean() + 0 * self.balancer({"main": loss, "extra": 1000 * loss})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_train_end(self) -> None:
        seen = {
            "rows": torch.stack(self.rows),
            "losses": torch.stack(self.losses),
            "centers": self.center_loss.centers,
            "means": self.balancer.means,
        }
        torch.save(seen, self.folder / f"rank{self.global_rank}.pt")


if __name__ == "__main__":
    pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Seen(Path(sys.argv[1])))
