"""A healthy run and a sick one, a page for each, and one that compares them: python examples/report.py [folder]."""

import sys
from itertools import pairwise
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Accuracy

from digits import Digits, Learner
from lightning_tricks import CosineDecay, Doctor, EarlyStopping, GradientClipping, LRFinder, RunReport, TestGuard
from lightning_tricks.reports.compare_page import show_comparison
from lightning_tricks.reports.run_record import RunRecord

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Two runs on digits</title></head><body><h1>Two runs on digits</h1>
<ul><li><a href="healthy/report.html">A healthy run</a></li><li><a href="sick/report.html">A sick run</a></li>
<li><a href="comparison.html">Both compared</a></li></ul></body></html>
"""


class Raw(nn.Module):
    """Undo the normalization: pixels of up to 255 and more."""

    def forward(self, x: Tensor) -> Tensor:
        return 255 * x


def classifier(layers: list[nn.Module], lr: float) -> Learner:
    """Return a classifier of 64 pixels, trained with Adam."""
    net, accuracy = nn.Sequential(nn.Flatten(), *layers), Accuracy("multiclass", num_classes=10)
    model = Learner(net, F.cross_entropy, accuracy, "accuracy", lr, optimizer=lambda p: torch.optim.Adam(p, lr))
    model.save_hyperparameters({"lr": lr, "layers": len(layers)})
    return model


def healthy() -> Learner:
    """A normalization layer, dropout, and a usual learning rate."""
    return classifier([nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Dropout(0.3), nn.Linear(96, 10)], 1e-3)


def sick() -> Learner:
    """Raw pixels, no normalization, four times the width, and a learning rate far too large."""
    hidden = [part for widths in pairwise((64, 384, 384, 384)) for part in (nn.Linear(*widths), nn.ReLU())]
    return classifier([Raw(), *hidden, nn.Linear(384, 10)], 0.05)


def train(model: Learner, folder: Path, *tricks: L.Callback, epochs: int = 12) -> RunRecord:
    """Train and test a model; return the record of its run."""
    L.seed_everything(0)
    report = RunReport(str(folder))
    callbacks = [*tricks, Doctor(), TestGuard(), report]
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = L.Trainer(accelerator="cpu", max_epochs=epochs, log_every_n_steps=5, callbacks=callbacks,
                        default_root_dir=folder, **quiet)  # fmt: skip
    trainer.fit(model, Digits())
    trainer.test(model, Digits(), verbose=False)
    assert report.report is not None
    return report.report


def main(folder: str = "report") -> None:
    out = Path(folder)
    tricks = (LRFinder(), CosineDecay(warmup="20st"), EarlyStopping(patience=10), GradientClipping(log=True))
    runs = {"healthy": train(healthy(), out / "healthy", *tricks), "sick": train(sick(), out / "sick")}
    (out / "comparison.html").write_text(show_comparison(runs), encoding="utf-8")
    (out / "index.html").write_text(PAGE, encoding="utf-8")
    for name, record in runs.items():
        print(f"{name}: {record.summary()}\n")
    print(f"all pages: {out / 'index.html'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
