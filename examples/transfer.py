"""Transfer a CNN from the digits 0 to 4 to the digits 5 to 9 with 20 images per class, four ways.

Usage: python examples/transfer.py
"""

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchmetrics import Accuracy

from digits import CNN, Digits, Learner
from fine_tune import fit, loader
from lightning_tricks import ConcatBackbones, cache_features
from lightning_tricks.core.text_table import align

BACKBONE = slice(0, 9)  # the layers of `CNN.net` before the head; their output is 128 features per image
Score = tuple[float, float]
"""Test accuracy, and the seconds of computation that the training took."""


def head_on(backbone: nn.Module, width: int, few: DataLoader, test: DataLoader, epochs: int) -> Callable[[], Score]:
    """Return a function that caches the features of a frozen backbone and trains one linear layer on them."""

    def train() -> Score:
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            rows = DataLoader(few.dataset, batch_size=20)  # in order: the cache is shuffled, not the images
            features = cache_features(backbone, rows, f"{folder}/train", progress=False)
            head = Learner(
                nn.Linear(width, 10), F.cross_entropy, Accuracy("multiclass", num_classes=10), "accuracy", lr=0.05
            )
            fit(head, DataLoader(features, batch_size=20, shuffle=True), epochs=epochs)
            seconds = time.process_time() - start
            model = nn.Sequential(backbone, head.net).eval()
            return accuracy(model, test), seconds

    return train


def whole_network(model: CNN, few: DataLoader, test: DataLoader, epochs: int) -> Callable[[], Score]:
    """Return a function that trains all layers."""

    def train() -> Score:
        start = time.process_time()
        fit(model, few, epochs=epochs)
        seconds = time.process_time() - start
        return accuracy(model.eval(), test), seconds

    return train


@torch.no_grad()
def accuracy(model: nn.Module, test: DataLoader) -> float:
    """Return the share of test images that are classified correctly."""
    images, classes = test.dataset.tensors
    return float((model(images).argmax(1) == classes).float().mean())


def pretrained(data: Digits, seed: int, epochs: int = 8) -> CNN:
    """Return a CNN that was trained on all images of the digits 0 to 4."""
    L.seed_everything(seed, verbose=False)
    model = CNN(lr=0.05)
    fit(model, loader(data.train, range(5), seed, samples=1000), epochs=epochs)
    return model


def run(data: Digits, seed: int, epochs: int = 20) -> dict[str, Score]:
    """Return the score of each way to train for one seed."""
    models = [pretrained(data, each, min(8, epochs)) for each in (seed, seed + 1000)]
    few, test = loader(data.train, range(5, 10), seed, samples=20), loader(data.test, range(5, 10))
    backbones = [model.net[BACKBONE] for model in models]
    L.seed_everything(seed, verbose=False)
    tuned = CNN(lr=0.05)
    tuned.net[BACKBONE].load_state_dict(backbones[0].state_dict())
    ways = {
        "from scratch": whole_network(CNN(lr=0.05), few, test, epochs),
        "full fine-tuning": whole_network(tuned, few, test, epochs),
        "cached features": head_on(backbones[0], 128, few, test, epochs),
        "cached features of two backbones": head_on(ConcatBackbones(backbones, nn.Identity()), 256, few, test, epochs),
    }
    return {way: train() for way, train in ways.items()}


def main(seeds: int = 5, epochs: int = 20) -> dict[str, list[Score]]:
    """Train in each way with each seed; print the mean accuracies and seconds."""
    warnings.filterwarnings("ignore", ".*does not have many workers|.*no `val_dataloader`|.*logging interval")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = Digits()
    data.setup("fit")
    runs = [run(data, seed, epochs) for seed in range(seeds)]
    scores = {way: [scores[way] for scores in runs] for way in runs[0]}
    rows = [["", "test accuracy", "seconds"]]
    for way, found in scores.items():
        rows.append([way, *(f"{sum(numbers) / seeds:.3f}" for numbers in zip(*found, strict=True))])
    print("\n".join(align(rows)))
    return scores


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
