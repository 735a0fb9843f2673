"""What the learning-rate callbacks cost a fit, against the same Trainer without them."""

import logging
import statistics
import warnings
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import CosineDecay, CosineWarmRestarts
from measure import median_ratio, report, side_by_side, take_turn


class Learner(L.LightningModule):
    """A network and SGD with momentum."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return any loss."""
        take_turn()
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.SGD(self.parameters(), lr=1e-4, momentum=0.9)


def mlp() -> tuple[nn.Module, Tensor, int]:
    """Bound by its parameters: 8 layers of 512."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(512, 512), nn.ReLU())]
    return nn.Sequential(*layers), torch.randn(8, 512), 160


def cnn() -> tuple[nn.Module, Tensor, int]:
    """Bound by arithmetic: two convolutions on 32×32."""
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1), nn.AvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16 * 8 * 8, 10)), torch.randn(32, 3, 32, 32), 120


def empty() -> tuple[nn.Module, Tensor, int]:
    """Nearly nothing: what is left is the loop."""
    return nn.Linear(1, 1), torch.randn(1, 1), 1000


def fit(workload: Any, *callbacks: L.Callback) -> None:
    """Fit for two epochs."""
    net, batch, steps = workload()
    data = DataLoader(TensorDataset(batch.repeat(steps // 2, *[1] * (batch.dim() - 1))), batch_size=len(batch))
    L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Learner(net), data)


def main(repeats: int = 11) -> None:
    """Print the ratios and the time added to an empty step."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for workload in (mlp, cnn):
        sides = {
            "bare": lambda workload=workload: fit(workload),
            "bare once more": lambda workload=workload: fit(workload),
            "ours": lambda workload=workload: fit(workload, CosineWarmRestarts("0.2dur", warmup="5st")),
            "three": lambda workload=workload: fit(
                workload, CosineWarmRestarts(1), CosineDecay(), CosineDecay(name="2")
            ),
        }
        found = side_by_side(sides, repeats)
        step = 1e3 * statistics.median(found["bare"]) / workload()[2]
        report(
            f"fit with warm restarts / bare Trainer, {workload.__name__} ({step:.1f} ms a step)",
            f"{median_ratio(found, 'ours', 'bare'):.4f}",
            "<= 1.01",
        )
        report(
            f"bare Trainer once more / bare Trainer, {workload.__name__}",
            f"{median_ratio(found, 'bare once more', 'bare'):.4f}",
            "1",
        )
        report(
            f"fit with three LR callbacks / bare Trainer, {workload.__name__}",
            f"{median_ratio(found, 'three', 'bare'):.4f}",
            "<= 1.01",
        )
    sides = {
        "bare": lambda: fit(empty),
        "no hook": lambda: fit(empty, L.Callback()),
        "ours": lambda: fit(empty, CosineWarmRestarts("0.2dur", warmup="5st")),
    }
    found = side_by_side(sides, repeats)
    bare = statistics.median(found["bare"]) / empty()[2]
    for name, what in (("ours", "warm restarts"), ("no hook", "a callback without a hook")):
        added = statistics.median(a - b for a, b in zip(found[name], found["bare"], strict=True)) / empty()[2]
        report(f"added to an empty step (of {1e6 * bare:.0f} µs) by {what}", f"{1e6 * added:.1f} µs", "")


if __name__ == "__main__":
    main()
