"""What an epoch on cached features costs next to an epoch through the frozen backbone."""

import logging
import tempfile
import time
import warnings
from itertools import pairwise
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import cache_features
from measure import interleaved, median_ratio, report

ROWS, EPOCHS = 256, 2


def backbone() -> nn.Sequential:
    """Four convolutions on images of 32×32: small for a backbone, so that the ratio is rather larger in practice."""
    widths = (3, 32, 64, 64, 128)
    layers = [
        layer for i, o in pairwise(widths) for layer in (nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval().requires_grad_(False)


class Head(L.LightningModule):
    """One linear layer, behind a frozen backbone or on its cached features.

    Args:
        frozen: the backbone; an identity where the rows are features.
    """

    def __init__(self, frozen: nn.Module) -> None:
        super().__init__()
        self.frozen, self.head = frozen, nn.Linear(128, 10)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return F.cross_entropy(self.head(self.frozen.eval()(batch[0])), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.SGD(self.head.parameters(), lr=0.1)


def seconds_of_fit(frozen: nn.Module, rows: Any) -> float:
    """Return what the epochs of a fit computed."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(rows, 32, shuffle=True)
    start = time.process_time()
    trainer.fit(Head(frozen), loader)
    return time.process_time() - start


def main(repeats: int = 5) -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    images, frozen = TensorDataset(torch.randn(ROWS, 3, 32, 32), torch.randint(0, 10, (ROWS,))), backbone()
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        features = cache_features(frozen, DataLoader(images, 32), f"{folder}/cache", progress=False)
        writing = time.process_time() - start
        sides = {
            "backbone": lambda: seconds_of_fit(frozen, images),
            "cached": lambda: seconds_of_fit(nn.Identity(), features),
        }
        found = interleaved(sides, repeats)
    report(
        "an epoch through the backbone / on cached features",
        f"{median_ratio(found, 'backbone', 'cached'):.1f}",
        ">= 10",
    )
    epoch = sorted(found["backbone"])[repeats // 2] / EPOCHS
    report("writing the cache / an epoch through the backbone", f"{writing / epoch:.2f}", "")


if __name__ == "__main__":
    main()
