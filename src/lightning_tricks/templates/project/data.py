"""The data: replace them with yours. As an example, the 1,797 handwritten digits included in scikit-learn."""

from typing import Any

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split


class Digits(L.LightningDataModule):
    """Pixels in [0, 1], (N, 64), and classes 0 to 9, split 60/20/20 with a fixed seed."""

    def __init__(self, batch_size: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed

    def setup(self, stage: str) -> None:
        """Read and split."""
        pixels, classes = load_digits(return_X_y=True)
        whole = TensorDataset(torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(classes))
        generator = torch.Generator().manual_seed(self.seed)
        self.train, self.val, self.test = random_split(whole, [0.6, 0.2, 0.2], generator)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled."""
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """In order."""
        return DataLoader(self.val, 256)

    def test_dataloader(self) -> DataLoader[Any]:
        """In order."""
        return DataLoader(self.test, 256)
