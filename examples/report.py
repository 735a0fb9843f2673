"""A healthy run and a sick one, a page for each, and one that compares them: python examples/report.py [folder]."""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from digits import Digits
from lightning_tricks import CosineDecay, Doctor, EarlyStopping, GradientClipping, LRFinder, RunReport, TestGuard
from lightning_tricks.reports.compare_page import show_comparison
from lightning_tricks.reports.run_record import RunRecord

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Two runs on digits</title></head><body><h1>Two runs on digits</h1>
<ul><li><a href="healthy/report.html">A healthy run</a></li><li><a href="sick/report.html">A sick run</a></li>
<li><a href="comparison.html">Both compared</a></li></ul></body></html>
"""


class Digit(L.LightningModule):
    """A network on 64 pixels."""

    def __init__(self, lr: float = 1e-3, dropout: float = 0.3) -> None:
        super().__init__()
        self.save_hyperparameters()
        hidden = [nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Dropout(dropout)]
        self.net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(96, 10))

    def step(self, batch: Any, name: str) -> Tensor:
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log_dict({f"{name}_loss": loss, f"{name}_accuracy": (logits.argmax(1) == y).float().mean()})
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "test")

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


class Sick(Digit):
    """Raw pixels of up to 255, no normalization, four times the width, and a learning rate far too large."""

    def __init__(self, lr: float = 0.05) -> None:
        super().__init__(lr)
        layers = [layer for _ in range(3) for layer in (nn.LazyLinear(384), nn.ReLU())]
        self.net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(384, 10))
        self.net(torch.zeros(1, 64))

    def step(self, batch: Any, name: str) -> Tensor:
        x, y = batch
        return super().step((255 * x, y), name)


def train(model: L.LightningModule, folder: Path, *tricks: L.Callback, epochs: int = 12) -> RunRecord:
    """Train and test a model; return the record of its run."""
    L.seed_everything(0)
    report = RunReport(str(folder))
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        log_every_n_steps=5,
        callbacks=[*tricks, Doctor(), TestGuard(), report],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, Digits())
    trainer.test(model, Digits(), verbose=False)
    assert report.report is not None
    return report.report


def main(folder: str = "report") -> None:
    out = Path(folder)
    tricks = (LRFinder(), CosineDecay(warmup="20st"), EarlyStopping(patience=10), GradientClipping(log=True))
    runs = {"healthy": train(Digit(), out / "healthy", *tricks), "sick": train(Sick(), out / "sick")}
    (out / "comparison.html").write_text(show_comparison(runs), encoding="utf-8")
    (out / "index.html").write_text(PAGE, encoding="utf-8")
    for name, record in runs.items():
        print(f"{name}: {record.summary()}\n")
    print(f"both pages: {out / 'index.html'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
