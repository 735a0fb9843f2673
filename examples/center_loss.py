"""Two features per image, learned with and without a center loss: how close the images of a class are, and a picture.

Usage: python examples/center_loss.py [FOLDER]
"""

import logging
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from digits import Digits
from lightning_tricks import CenterLoss
from lightning_tricks.core.text_table import align
from lightning_tricks.reports.curves import new_figure

WEIGHTS = {"cross entropy": 0.0, "with CenterLoss": 0.1}


class TwoFeatures(L.LightningModule):
    """A perceptron with two features before its last layer.

    Args:
        weight: factor of the center loss.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        widths = (64, 128, 128)
        hidden = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.body, self.head = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 2)), nn.Linear(2, 10)
        self.centers = CenterLoss(num_classes=10, num_features=2)
        self.weight = weight

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        features = self.body(batch[0])
        loss = F.cross_entropy(self.head(features), batch[1])
        return loss + self.weight * self.centers(features, batch[1]) if self.weight else loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class Result(NamedTuple):
    """What one training gave on the test images.

    Attributes:
        accuracy: share of images classified correctly.
        spread: variance within the classes.
        relative: variance within the classes divided by that between their means.
        features: ``(N, 2)``.
    """

    accuracy: float
    spread: float
    relative: float
    features: Tensor


def train(data: Digits, weight: float, seed: int, epochs: int = 60) -> Result:
    """Train once and measure on the test images."""
    L.seed_everything(seed, verbose=False)
    model = TwoFeatures(weight)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    L.Trainer(accelerator="cpu", max_epochs=epochs, **quiet).fit(model, DataLoader(data.train, 64, shuffle=True))
    images, classes = data.test.tensors
    with torch.no_grad():
        features = model.body(images)
        accuracy = (model.head(features).argmax(1) == classes).float().mean()
    means = torch.stack([features[classes == label].mean(0) for label in range(10)])
    within = (features - means[classes]).square().sum(1).mean()
    between = (means - means.mean(0)).square().sum(1).mean()
    return Result(float(accuracy), float(within), float(within / between), features)


def plot(results: dict[str, Result], classes: Tensor, path: Path) -> None:
    """Draw the features of the test images, one color per class."""
    figure = new_figure((9, 4.2))
    for axes, (name, result) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        for label in range(10):
            x, y = result.features[classes == label].T
            axes.scatter(x, y, s=8, color=f"C{label}", label=str(label), linewidths=0)
        axes.set_title(f"{name}: accuracy {result.accuracy:.3f}, within / between {result.relative:.3f}", fontsize=9)
        axes.set_xlabel("feature 1")
        axes.set_ylabel("feature 2")
    axes.legend(title="digit", fontsize=7, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


def main(folder: str = "outputs", seeds: int = 1, epochs: int = 60) -> dict[str, list[Result]]:
    """Train with and without the center loss; print the means over the seeds and plot the first."""
    warnings.filterwarnings("ignore", ".*does not have many workers|.*no `val_dataloader`|.*logging interval")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = Digits()
    data.setup("fit")
    results = {name: [train(data, weight, seed, epochs) for seed in range(seeds)] for name, weight in WEIGHTS.items()}
    rows = [["", "test accuracy", "within classes", "within / between"]]
    for name, found in results.items():
        means = torch.tensor([result[:3] for result in found]).mean(0).tolist()
        rows.append([name, *(f"{mean:.3f}" for mean in means)])
    print("\n".join(align(rows)))
    picture = Path(folder) / "center_loss.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plot({name: found[0] for name, found in results.items()}, data.test.tensors[1], picture)
    print(f"wrote {picture}")
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
