"""A model with four faults, the doctor's report on it, and the fixed model: python examples/doctor.py [page.html]."""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from digits import Digits
from lightning_tricks import Doctor, diagnose
from lightning_tricks.doctor.show.show_html import show_html


class Faulty(L.LightningModule):
    """Dropout of 0.9 before BatchNorm; softmax before the cross entropy; a layer that no optimizer updates."""

    def __init__(self) -> None:
        super().__init__()
        norm = [nn.Linear(64, 128), nn.Dropout(0.9), nn.BatchNorm1d(128), nn.ReLU()]
        self.body = nn.Sequential(nn.Flatten(), *norm, nn.Linear(128, 64), nn.ReLU())
        self.heads = [nn.Linear(64, 10)]

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[0](self.body(x)).softmax(dim=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_accuracy", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


class Fixed(Faulty):
    """The same model with the changes that the report suggests."""

    def __init__(self) -> None:
        super().__init__()
        norm = [nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.3)]
        self.body = nn.Sequential(nn.Flatten(), *norm, nn.Linear(128, 64), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(64, 10)])

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[0](self.body(x))


def train(model: L.LightningModule) -> float:
    """Train with the callback ``Doctor``, which does not change the result; return the validation accuracy."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(max_epochs=3, accelerator="cpu", callbacks=[Doctor()], **quiet)
    trainer.fit(model, Digits())
    return float(trainer.callback_metrics["val_accuracy"])


def main(page: str = "doctor.html") -> None:
    L.seed_everything(0)
    report = diagnose(Faulty(), datamodule=Digits())
    Path(page).write_text(show_html(report), encoding="utf-8")
    print(f"{report}\n\nThe same report as HTML: {page}\n\n{diagnose(Fixed(), datamodule=Digits())}\n")
    print(f"validation accuracy after 3 epochs: {train(Faulty()):.2f} with the faults, {train(Fixed()):.2f} fixed")


if __name__ == "__main__":
    main(*sys.argv[1:])
