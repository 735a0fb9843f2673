"""Train a perceptron on wine with 10 rows per class, alone and with the parts of the recipe `few_rows`.

Usage: python examples/few_rows.py [FOLDER]
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from sklearn.datasets import load_wine
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy

from digits import Learner
from lightning_tricks import DropoutSchedule, EarlyStopping, MixUp, NormalizeInputs, WeightPenalty
from lightning_tricks.reports.scores import describe_scores, plot_scores

WAYS = {
    "base": lambda: [],
    "normalized": lambda: [NormalizeInputs()],
    "recipe few_rows": lambda: [
        NormalizeInputs(),  # measured on the training rows, used in every stage
        WeightPenalty(l2=1e-3),
        DropoutSchedule(),  # from 0.25 to 0.5 before the last layer
        MixUp(num_classes=3),
        EarlyStopping("val_loss", patience=20),  # keeps the weights of the best validation loss
    ],
}


def split(seed: int) -> list[DataLoader]:
    """Return loaders of 10 training and 5 validation rows per class, and of the rest, which chooses nothing."""
    x, y = load_wine(return_X_y=True)
    data = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    classes = [order[data.tensors[1][order] == label].tensor_split((10, 15)) for label in range(3)]
    parts = [torch.cat(rows) for rows in zip(*classes, strict=True)]
    return [DataLoader(TensorDataset(*data[rows]), 32, shuffle=i == 0) for i, rows in enumerate(parts)]


def main(folder: str = "outputs", seeds: int = 5, epochs: int = 100) -> dict[str, list[float]]:
    """Train in each way with each seed; print and plot the test accuracies."""
    warnings.filterwarnings("ignore", ".*does not have many workers|.*logging interval")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        train, val, test = split(seed)
        for way, tricks in WAYS.items():
            L.seed_everything(seed, verbose=False)
            net = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
            accuracy = Accuracy("multiclass", num_classes=3)
            model = Learner(net, F.cross_entropy, accuracy, "accuracy", lr=3e-3, optimizer=torch.optim.Adam)
            quiet = dict.fromkeys(
                ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
            )
            trainer = L.Trainer(accelerator="cpu", max_epochs=epochs, callbacks=tricks(), **quiet)
            trainer.fit(model, train, val)
            scores[way].append(trainer.test(model, test, verbose=False)[0]["test_accuracy"])
    print(describe_scores(scores, "test accuracy"))
    picture = Path(folder) / "few_rows.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plot_scores(scores, picture, name="test accuracy", title="Wine from 10 rows per class")
    print(f"wrote {picture}")
    return scores


if __name__ == "__main__":
    main(*sys.argv[1:])
