"""A program with eight different faults, and the doctor's report on it: python examples/eight_faults.py.

eight_faults_fixed.py is the same program without them. On the command line:
lightning-tricks doctor examples/eight_faults.py:build
"""

import lightning as L
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchmetrics.functional.classification import multiclass_accuracy

from lightning_tricks import diagnose


class Faulty(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(32),  # 1: dropout shifts the statistics
            nn.Linear(32, 32), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(32, 2)
        nn.init.constant_(self.body[4].weight, 0.1)  # 2: all units of the layer are identical

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)).softmax(dim=1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y)  # 3: expects logits, but receives probabilities

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("accuracy", multiclass_accuracy(self(x), y, num_classes=2))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.body.parameters(), lr=1.0)  # 4: the head is missing, 5: lr much too high


class FaultyData(L.LightningDataModule):
    """569 tumors (N, 30) and whether they are benign."""

    def setup(self, stage: str) -> None:
        x, y = load_breast_cancer(return_X_y=True)
        self.rows = TensorDataset(
            torch.tensor(x, dtype=torch.float32), torch.tensor(y)
        )  # 6: values from 0.001 to 4,254

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Subset(self.rows, range(455)), 32)  # 7: the same order in every epoch

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Subset(self.rows, range(400, 569)), 256)  # 8: overlaps with the training rows


def build() -> tuple[L.LightningModule, L.LightningDataModule]:
    L.seed_everything(0, verbose=False)
    return Faulty(), FaultyData()


def main() -> None:
    model, data = build()
    print(diagnose(model, datamodule=data))
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = L.Trainer(max_epochs=10, accelerator="cpu", **quiet)
    trainer.fit(model, data)
    print(f"accuracy {float(trainer.callback_metrics['accuracy']):.3f}")


if __name__ == "__main__":
    main()
