"""What the tricks for few rows cost: a penalty against its optimizer step, a normalization against its fit, MixUp."""

import logging
import random
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import MixUp, NormalizeInputs
from lightning_tricks.functional.penalties import add_penalty_grads_
from measure import interleaved, median_ratio, report, timed


def penalty_and_step(optimizer_of: Callable[..., Any]) -> dict[str, Callable[[], float]]:
    """The hook's work next to the step that follows it, over the weights of eight layers of 512."""
    weights = [nn.Parameter(torch.randn(512, 512)) for _ in range(8)]
    for weight in weights:
        weight.grad = torch.randn_like(weight) * 1e-4
    optimizer = optimizer_of(weights, lr=1e-9, foreach=True)
    scratch, values, grads = torch.empty(512, 512), [w.data for w in weights], [w.grad for w in weights]

    def two_passes() -> None:
        for value, grad in zip(values, grads, strict=True):
            grad.add_(torch.sign(value, out=scratch), alpha=1e-9)

    return {
        "two passes": timed(two_passes),
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


def share_of_normalization() -> float:
    """Return the time of a fit with `NormalizeInputs` over the rest of that fit: 1 plus the trick's own share.

    Two fits in a row differ by more than one percent on a shared machine, so one fit is timed from the inside: the pass
    over the training rows, and the trick's work on each batch.
    """
    normalizer, spent = NormalizeInputs(), 0.0

    def timed_method(method: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal spent
        start = time.thread_time()
        found = method(*arguments)
        spent += time.thread_time() - start
        return found

    for name in ("_measure", "apply", "on_train_batch_start", "on_before_optimizer_step"):
        setattr(normalizer, name, partial(timed_method, getattr(normalizer, name)))
    start = time.thread_time()
    fit(normalizer)
    whole = time.thread_time() - start
    return whole / (whole - spent)


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
    momentum = partial(torch.optim.SGD, momentum=0.9)
    for name, optimizer_of in (("SGD", torch.optim.SGD), ("SGD, momentum", momentum), ("AdamW", torch.optim.AdamW)):
        found = interleaved(penalty_and_step(optimizer_of), repeats, warmup=3)
        for penalty in ("l2", "l1"):
            # plain SGD passes over the memory once; the signs of the weights need a second pass, see the floor
            bound = "<= 1.05" if (name, penalty) != ("SGD", "l1") else ""
            figure = f"{median_ratio(found, penalty, 'step'):.3f}"
            report(f"WeightPenalty({penalty}) / the step of {name} (foreach)", figure, bound)
        if name == "SGD":
            floor = f"{median_ratio(found, 'two passes', 'step'):.3f}"
            report("sign and add, nothing else / the step of SGD (foreach)", floor, "the floor of l1")
    figure = statistics.median(share_of_normalization() for _ in range(fits))
    report("NormalizeInputs / the same fit without", f"{figure:.4f}", "<= 1.01")
    found = interleaved(mixers(), repeats, warmup=3)
    report("MixUp / torchvision's formula", f"{median_ratio(found, 'ours', 'peer'):.3f}", "<= 1.2")


if __name__ == "__main__":
    main()
