"""The model: replace it with yours. It does not refer to any trick."""

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(L.LightningModule):
    """One hidden layer, cross-entropy, SGD with momentum."""

    def __init__(self, in_features: int = 64, hidden: int = 128, num_classes: int = 10, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, num_classes)."""
        return self.net(x)  # type: ignore[no-any-return]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return self._step(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        self._step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        self._step(batch, "test")

    def _step(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        accuracy = (logits.argmax(1) == y).float().mean()
        self.log_dict({f"{stage}_loss": loss, f"{stage}_accuracy": accuracy}, sync_dist=stage != "train")
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD without a scheduler, because tricks control its learning rate."""
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"], momentum=0.9)
