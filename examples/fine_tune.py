"""Fine-tune a CNN pretrained on the digits 0 to 4 for the digits 5 to 9, with 20 samples per class, in four ways.

Digits are easy, so training from scratch wins here; unfreezing in halves is second, and better than the head alone.

Usage: python examples/fine_tune.py [FOLDER]
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

from digits import CNN, Digits
from lightning_tricks import CosineDecay, DiscriminativeLR, GradualUnfreezing
from lightning_tricks.reports.scores import describe_scores, plot_scores

GROUPS = [["net.0.*", "net.1.*"], ["net.4.*", "net.5.*"], "net.9.*"]  # two convolutions with their BatchNorm, the head
WAYS = {
    "from scratch": lambda: [],
    "head only": lambda: [GradualUnfreezing([0, None, None], groups=GROUPS)],
    "halves": lambda: [GradualUnfreezing(groups=GROUPS, every="0.2dur")],
    "halves, layer-wise rates": lambda: [
        GradualUnfreezing(groups=GROUPS, every="0.2dur"),
        DiscriminativeLR(2.6, groups=GROUPS),
    ],
}


def loader(data: TensorDataset, classes: range, seed: int = 0, samples: int | None = None) -> DataLoader:
    """Return a loader of some classes, with ``samples`` random images of each (None: all)."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randperm(len(data), generator=generator)
    rows = [mixed[data.tensors[1][mixed] == label][:samples] for label in classes]
    chosen = TensorDataset(*(tensor[torch.cat(rows)] for tensor in data.tensors))
    return DataLoader(chosen, batch_size=20, shuffle=samples is not None, generator=generator)


def fit(model: CNN, batches: DataLoader, *tricks: L.Callback, epochs: int = 20) -> L.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    tricks = [*tricks, CosineDecay(warmup="0.05dur")]
    trainer = L.Trainer(accelerator="cpu", max_epochs=epochs, callbacks=tricks, **quiet)
    trainer.fit(model, batches)
    return trainer


def main(folder: str = "outputs", seeds: int = 5) -> dict[str, list[float]]:
    """Train in each way with each seed; print and plot the test accuracies."""
    warnings.filterwarnings("ignore", ".*does not have many workers|.*no `val_dataloader`|.*logging interval")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = Digits()
    data.setup("fit")
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        L.seed_everything(seed, verbose=False)
        pretrained = CNN(lr=0.05)
        fit(pretrained, loader(data.train, range(5), seed, samples=1000), epochs=8)
        few = loader(data.train, range(5, 10), seed, samples=20)
        for way, tricks in WAYS.items():
            L.seed_everything(seed, verbose=False)
            model = CNN(lr=0.05)
            if way != "from scratch":
                known = {key: value for key, value in pretrained.state_dict().items() if "net.9" not in key}
                model.load_state_dict(known, strict=False)
            tested = fit(model, few, *tricks()).test(model, loader(data.test, range(5, 10)), verbose=False)
            scores[way].append(tested[0]["test_accuracy"])
    print(describe_scores(scores, "test accuracy"))
    picture = Path(folder) / "fine_tune.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plot_scores(scores, picture, name="test accuracy", title="Digits 5–9 from 20 samples per class, after 0–4")
    print(f"wrote {picture}")
    return scores


if __name__ == "__main__":
    main(*sys.argv[1:])
