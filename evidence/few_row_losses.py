"""Losses, weights and added rows on few rows, by plain training loops: no Trainer, no callback."""

from collections.abc import Callable
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, TensorDataset

from lightning_tricks import (
    LossBalancer,
    NoisyCopies,
    class_weights,
    contrastive_loss,
    focal_loss,
    sample_like,
    weighted_sampler,
)

Scores = dict[str, dict[str, float]]
"""The scores of each way to train: way, then metric."""
EPOCHS, BATCH_SIZE, LR = 100, 32, 3e-3


def split(data: str, counts: list[int], seed: int) -> tuple[TensorDataset, TensorDataset]:
    """Return so many training rows of each class, and all others to test; pixels share one mean and deviation."""
    x, y = (torch.as_tensor(part) for part in getattr(datasets, f"load_{data}")(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    groups = [order[y[order] == label].tensor_split([count]) for label, count in enumerate(counts)]
    train, test = (torch.cat(rows) for rows in zip(*groups, strict=True))
    mean, std = (x[train].mean(), x[train].std()) if data == "digits" else (x[train].mean(0), x[train].std(0))
    x = ((x - mean) / std).float()
    return TensorDataset(x[train], y[train]), TensorDataset(x[test], y[test])


def perceptron(rows: Dataset[Any], outputs: int, seed: int) -> nn.Sequential:
    """Return two hidden layers of 64."""
    torch.manual_seed(seed)
    features = len(rows[0][0])
    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


def train(
    model: nn.Module,
    rows: Dataset[Any],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    sampler: Any = None,
    steps: int = 0,
) -> None:
    """Train with Adam for 100 epochs, or for the epochs that make at least so many steps."""
    loader = DataLoader(rows, BATCH_SIZE, shuffle=sampler is None, sampler=sampler, drop_last=len(rows) > BATCH_SIZE)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(-(-steps // len(loader)) if steps else EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            loss_of(x, y).backward()
            optimizer.step()


@torch.no_grad()
def recall(model: nn.Module, test: TensorDataset) -> dict[str, float]:
    """Return the mean over classes of the share of its rows that are found, which is balanced accuracy."""
    x, y = test.tensors
    hits = (model(x).argmax(1) == y).float()
    return {"balanced accuracy": float(torch.stack([hits[y == label].mean() for label in y.unique()]).mean())}


def imbalance(seed: int) -> Scores:
    """Sixty rows of each of the digits 0 to 4, six of each of 5 to 9."""
    rows, test = split("digits", [60] * 5 + [6] * 5, seed)
    weights = class_weights(rows.tensors[1])
    losses: dict[str, Any] = {
        "cross entropy": F.cross_entropy,
        "`class_weights`": lambda logits, y: F.cross_entropy(logits, y, weight=weights),
        "`focal_loss`": focal_loss,
        "`focal_loss`, `class_weights`": lambda logits, y: focal_loss(logits, y, weight=weights),
        "`weighted_sampler`": F.cross_entropy,
    }
    found: Scores = {}
    for way, loss in losses.items():
        model = perceptron(rows, 10, seed)
        sampler = weighted_sampler(weights[rows.tensors[1]], seed=seed) if "sampler" in way else None
        train(model, rows, lambda x, y, model=model, loss=loss: loss(model(x), y), sampler, steps=600)
        found[way] = recall(model, test)
    return found


def added_rows(seed: int) -> Scores:
    """Ten rows of each class, with copies and drawn rows; each way takes the same number of steps."""
    found: Scores = {}
    for data, classes in (("digits", 10), ("breast_cancer", 2), ("wine", 3)):
        rows, test = split(data, [10] * classes, seed)
        drawn = TensorDataset(*sample_like(*rows.tensors, 3 * len(rows), seed=seed))
        ways = {
            "the rows": rows,
            "`NoisyCopies(copies=3)`": NoisyCopies(rows, copies=3, seed=seed),
            "`sample_like`, three times as many": ConcatDataset([rows, drawn]),
        }
        for way, used in ways.items():
            model = perceptron(rows, classes, seed)
            train(model, used, lambda x, y, model=model: F.cross_entropy(model(x), y), steps=400)
            found.setdefault(way, {})[data.replace("_", " ")] = recall(model, test)["balanced accuracy"]
    return found


class TwoTasks(nn.Module):
    """A classifier whose hidden layer also reconstructs the image; the auxiliary loss is summed, hence large."""

    def __init__(self, balancer: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.head, self.decoder, self.balancer = nn.Linear(64, 10), nn.Linear(64, 64), balancer

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.head(self.body(x))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the balanced sum of both losses."""
        hidden = self.body(x)
        reconstruction = 100 * (self.decoder(hidden) - x).square().sum(1).mean()
        return self.balancer({"class": F.cross_entropy(self.head(hidden), y), "reconstruction": reconstruction})


class Plain(nn.Module):
    """The sum of the named terms."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def forward(self, terms: dict[str, Tensor]) -> Tensor:
        """Return ``()``."""
        return torch.stack([terms[name] for name in self.names]).sum()


def auxiliary_loss(seed: int) -> Scores:
    """Ten rows of each digit, and an auxiliary loss that is thousands of times larger than the main loss."""
    rows, test = split("digits", [10] * 10, seed)
    names = ["class", "reconstruction"]
    ways: dict[str, Callable[[], nn.Module]] = {
        "main loss alone": lambda: Plain("class"),
        "plain sum": lambda: Plain(*names),
        "`LossBalancer`": lambda: LossBalancer(names),
        "`LossBalancer(max_ratio=1)`": lambda: LossBalancer(names, max_ratio=1),
        '`LossBalancer(method="uncertainty")`': lambda: LossBalancer(names, method="uncertainty"),
    }
    found: Scores = {}
    for way, balancer in ways.items():
        torch.manual_seed(seed)
        model = TwoTasks(balancer())
        train(model, rows, model.loss)
        found[way] = recall(model, test)
    return found


def embeddings(seed: int) -> Scores:
    """Ten rows of each digit; a test row gets the class of the nearest training row."""
    rows, test = split("digits", [10] * 10, seed)

    def pairs(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        a, b = torch.triu_indices(len(x), len(x), 1)
        z = F.normalize(model(x))
        same = y[a] == y[b]
        kept = same | (torch.rand(len(a)) < same.float().mean())  # as many dissimilar pairs as similar ones
        return contrastive_loss(z[a[kept]], z[b[kept]], same[kept])

    found: Scores = {"pixels": nearest(nn.Identity(), rows, test)}
    model = perceptron(rows, 16, seed)
    train(model, rows, lambda x, y: pairs(model, x, y))
    found["`contrastive_loss`"] = nearest(model, rows, test)
    return found


@torch.no_grad()
def nearest(model: nn.Module, rows: TensorDataset, test: TensorDataset) -> dict[str, float]:
    """Return the accuracy of the nearest training row's class."""
    known, asked = (F.normalize(model(part.tensors[0])) for part in (rows, test))
    nearest = torch.cdist(asked, known).argmin(1)
    return {"accuracy": float((rows.tensors[1][nearest] == test.tensors[1]).float().mean())}
