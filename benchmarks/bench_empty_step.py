"""What tricks add to a step that does nearly nothing: function calls above those of the bare Trainer.

Calls are counted rather than timed, so that the figure is the same on every machine.
"""

import cProfile
import logging
import pstats
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_tricks as lt

_FIRST, _LAST = 20, 120


class Learner(L.LightningModule):
    """A linear layer, plain SGD and a validation loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Return the cross-entropy of a batch."""
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return self.loss(batch)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log what early stopping and the plateau rule watch."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Counter(L.Callback):
    """Counts the calls of the steps between the first and the last one, C functions included."""

    def __init__(self) -> None:
        self.profile = cProfile.Profile()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Start and end the count."""
        if trainer.global_step == _FIRST:
            self.profile.enable()
        elif trainer.global_step == _LAST:
            self.profile.disable()


def calls(*tricks: L.Callback) -> float:
    """Return the calls of a step with these tricks."""
    torch.manual_seed(0)
    data, counter = TensorDataset(torch.randn(300, 4), torch.randint(0, 3, (300,))), Counter()
    L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[*tricks, counter],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Learner(), DataLoader(data, 2), DataLoader(data, 100))
    return pstats.Stats(counter.profile).total_calls / (_LAST - _FIRST)  # type: ignore[attr-defined,no-any-return]


def four() -> list[L.Callback]:
    """Return what a typical training uses."""
    return [
        lt.CosineWarmRestarts(t_0="50st"),
        lt.ReduceLROnPlateau(stop_at_min=False),
        lt.EarlyStopping(),
        lt.GradientClipping(),
    ]


def nine(folder: str) -> list[L.Callback]:
    """Return five more."""
    return [
        *four(),
        lt.DiscriminativeLR(groups=["net.*"]),
        lt.LiveControl(str(Path(folder) / "control.yaml")),
        lt.GradualUnfreezing(groups=["*"]),
        lt.LRSchedule(lambda t: 1.0, name="constant"),
        lt.LRFinder(at_epochs=[5]),
    ]


def main() -> None:
    """Print the calls that one schedule, four tricks and nine tricks add."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        sets: dict[str, Callable[[], list[L.Callback]]] = {
            "one schedule": lambda: [lt.CosineDecay()],
            "restarts, plateau, early stopping, clipping": four,
            "nine tricks": lambda: nine(folder),
        }
        bare = calls()
        for name, make in sets.items():
            added = calls(*make()) - bare
            print(f"  {name}: {added:.0f} calls above the {bare:.0f} of a bare step ({added / bare:.2f})")


if __name__ == "__main__":
    main()
