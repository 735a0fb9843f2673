"""What the tricks for few rows cost: a penalty against its optimizer step, a normalization against its fit, MixUp."""

import logging
import random
import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import MixUp, NormalizeInputs
from lightning_tricks.functional.penalties import add_penalty_grads_
from measure import interleaved, median_ratio, report, side_by_side, take_turn, timed


def penalty_and_step(optimizer_of: Callable[..., Any]) -> dict[str, Callable[[], float]]:
    """The hook's work next to the step that follows it, over the weights of eight layers of 512."""
    weights = [nn.Parameter(torch.randn(512, 512)) for _ in range(8)]
    for weight in weights:
        weight.grad = torch.randn_like(weight) * 1e-4
    optimizer = optimizer_of(weights, lr=1e-9, foreach=True)
    return {
        "l2": timed(lambda: add_penalty_grads_(weights, l2=1e-9)),
        "l1": timed(lambda: add_penalty_grads_(weights, l1=1e-9)),
        "step": timed(optimizer.step),
    }


class Learner(L.LightningModule):
    """Two convolutions on images of 32×32."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1), nn.AvgPool2d(4), nn.Flatten(),
            nn.Linear(4096, 10),
        )  # fmt: skip

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return any loss."""
        take_turn()
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.SGD(self.parameters(), lr=1e-4)


def fit(*callbacks: L.Callback) -> None:
    """Fit for five epochs of 24 steps."""
    data = DataLoader(TensorDataset(torch.randn(768, 3, 32, 32)), batch_size=32)
    L.Trainer(
        accelerator="cpu",
        max_epochs=5,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Learner(), data)


def torchvision_mix_up(images: Tensor, labels: Tensor, alpha: float, num_classes: int) -> tuple[Tensor, Tensor]:
    """What ``torchvision.transforms.v2.MixUp`` computes, written out."""
    share = float(torch.distributions.Beta(torch.tensor([alpha]), torch.tensor([alpha])).sample(()))
    mixed = images.roll(1, 0).mul_(1.0 - share).add_(images.mul(share))
    one_hot = nn.functional.one_hot(labels, num_classes).float()
    return mixed, one_hot.roll(1, 0).mul_(1.0 - share).add_(one_hot.mul(share))


def mixers() -> dict[str, Callable[[], float]]:
    """Ours and torchvision's on a batch of images."""
    images, labels, ours = torch.randn(64, 3, 64, 64), torch.randint(0, 10, (64,)), MixUp(0.2, num_classes=10)
    return {
        "ours": timed(lambda: ours.apply((images, labels))),
        "peer": timed(lambda: torchvision_mix_up(images, labels, 0.2, 10)),
    }


def main(repeats: int = 61, fits: int = 3) -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for name, optimizer_of in (("SGD", torch.optim.SGD), ("AdamW", torch.optim.AdamW)):
        found = interleaved(penalty_and_step(optimizer_of), repeats, warmup=3)
        for penalty in ("l2", "l1"):
            bound = "<= 1.05" if (name, penalty) != ("SGD", "l1") else ""
            figure = f"{median_ratio(found, penalty, 'step'):.3f}"
            report(f"WeightPenalty({penalty}) / the step of {name} (foreach)", figure, bound)
    sides = {"bare": fit, "once more": fit, "normalized": lambda: fit(NormalizeInputs())}
    found = side_by_side(sides, fits)
    report("NormalizeInputs / the same fit without", f"{median_ratio(found, 'normalized', 'bare'):.4f}", "<= 1.01")
    report("the same fit once more", f"{median_ratio(found, 'once more', 'bare'):.4f}", "1")
    found = interleaved(mixers(), repeats, warmup=3)
    report("MixUp / torchvision's formula", f"{median_ratio(found, 'ours', 'peer'):.3f}", "<= 1.2")


if __name__ == "__main__":
    main()
