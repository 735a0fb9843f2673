"""The program of eight_faults.py without its faults: python examples/eight_faults_fixed.py."""

import lightning as L
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import multiclass_accuracy

from lightning_tricks import diagnose


class Fixed(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(30, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.5)
        )  # 1: dropout after the last norm, 2: PyTorch's initialization
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # 3: logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("accuracy", multiclass_accuracy(self(x), y, num_classes=2))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)  # 4: all parameters, 5: a typical learning rate


class FixedData(L.LightningDataModule):
    """569 tumors (N, 30) and whether they are benign."""

    def setup(self, stage: str) -> None:
        x, y = (torch.tensor(array) for array in load_breast_cancer(return_X_y=True))
        train, val = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).split([455, 114])  # 8: disjoint
        x = ((x - x[train].mean(0)) / x[train].std(0)).float()  # 6: normalized with the training rows
        self.train, self.val = TensorDataset(x[train], y[train]), TensorDataset(x[val], y[val])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, 32, shuffle=True)  # 7: a new order in every epoch

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, 256)


def build() -> tuple[L.LightningModule, L.LightningDataModule]:
    L.seed_everything(0, verbose=False)
    return Fixed(), FixedData()


def main() -> None:
    model, data = build()
    print(diagnose(model, datamodule=data))
    trainer = L.Trainer(
        max_epochs=10,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    print(f"accuracy {float(trainer.callback_metrics['accuracy']):.3f}")


if __name__ == "__main__":
    main()
