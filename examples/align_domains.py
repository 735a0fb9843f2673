"""Align the features of two domains with `coral_loss`: labeled digits, and the same kind of digits under a shift.

The target domain has no labels. Three shifts: pixels with unequal gains, blur, and inverted pixels with noise.

Usage: python examples/align_domains.py
"""

import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from digits import Digits
from lightning_tricks import coral_loss
from lightning_tricks.reports.scores import describe_scores


def noise(images: Tensor, scale: float) -> Tensor:
    return images + scale * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))


SHIFTS: dict[str, Callable[[Tensor], Tensor]] = {
    "unequal gains": lambda images: noise(images * torch.linspace(0.2, 1.5, 64).view(8, 8), 0.1),
    "blur": lambda images: noise(F.avg_pool2d(images, 3, 1, 1), 0.05),
    "inverted, noise": lambda images: noise(1 - images, 0.3),
}
"""Changes of images ``(N, 1, 8, 8)`` with values in [0, 1]."""


class Aligned(L.LightningModule):
    """A classifier trained on the source domain, whose 64 features are aligned with those of the target domain.

    Args:
        weight: factor of the CORAL loss; 0 trains on the source domain alone.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)
        self.weight = weight

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        images, classes = batch["source"]
        source = self.body(images)
        loss = F.cross_entropy(self.head(source), classes)
        return loss + self.weight * coral_loss(source, self.body(batch["target"][0])) if self.weight else loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def domains(shift: Callable[[Tensor], Tensor], seed: int) -> list[TensorDataset]:
    """Return labeled source rows, unlabeled target rows, and target rows to test; each domain is standardized."""
    images, classes = Digits().read()
    images = images / 16
    source, target, test = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).split(600)[:3]
    shifted = shift(images)
    center, scale = shifted[target].mean(), shifted[target].std()
    shifted = (shifted - center) / scale
    images = (images - images[source].mean()) / images[source].std()
    parts = (images[source], classes[source]), (shifted[target],), (shifted[test], classes[test])
    return [TensorDataset(*part) for part in parts]


def target_accuracy(shift: str, weight: float, seed: int, epochs: int = 40) -> float:
    """Train once and return the accuracy on the target domain's test rows."""
    source, target, test = domains(SHIFTS[shift], seed)
    L.seed_everything(seed, verbose=False)
    loaders = {"source": DataLoader(source, 64, shuffle=True), "target": DataLoader(target, 64, shuffle=True)}
    model = Aligned(weight)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    L.Trainer(accelerator="cpu", max_epochs=epochs, **quiet).fit(model, CombinedLoader(loaders, "min_size"))
    images, classes = test.tensors
    with torch.no_grad():
        return float((model.head(model.body(images)).argmax(1) == classes).float().mean())


def main(seeds: int = 5, epochs: int = 40) -> dict[str, list[float]]:
    """Train with and without alignment under each shift; print the accuracies on the target domain."""
    warnings.filterwarnings("ignore", ".*does not have many workers")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scores = {
        f"{shift}{', coral_loss' if weight else ''}": [
            target_accuracy(shift, weight, seed, epochs) for seed in range(seeds)
        ]
        for shift in SHIFTS
        for weight in (0.0, 100.0)
    }
    print(describe_scores(scores, "target accuracy"))
    return scores


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
