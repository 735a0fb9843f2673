"""An LSTM on digits at fifty times its learning rate, without clipping and with each kind of clipping.

Usage: python examples/exploding_gradients.py [FOLDER]
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger

from digits import Digits, RowLSTM
from lightning_tricks import AdaptiveGradientClipping, AutoClip, GradientClipping, ZClip
from lightning_tricks.reports.clipping import plot_clipping
from lightning_tricks.reports.curves import read_metrics

WAYS = {
    "no clipping": lambda: None,
    "GradientClipping(0.05)": lambda: GradientClipping(0.05, log=True),
    "GradientClipping(clip_value=0.001)": lambda: GradientClipping(clip_value=0.001, log=True),
    "AdaptiveGradientClipping(0.002)": lambda: AdaptiveGradientClipping(0.002, log=True),
    "AutoClip(0)": lambda: AutoClip(0, log=True),
    "ZClip(0.5, warmup=3)": lambda: ZClip(0.5, warmup=3, log=True),
}


def train(clipper: L.Callback | None, folder: Path) -> tuple[float, Path]:
    """Return the test accuracy after ten epochs, and the path of the log."""
    L.seed_everything(2, verbose=False)
    logger = CSVLogger(folder, name=type(clipper).__name__)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=10,
        callbacks=[clipper] if clipper else [],
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model, data = RowLSTM(lr=5.0), Digits()
    trainer.fit(model, data)
    return trainer.test(model, data, verbose=False)[0]["test_accuracy"], Path(logger.log_dir) / "metrics.csv"


def main(folder: str = "outputs/exploding_gradients") -> dict[str, float]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = {}
    for name, make in WAYS.items():
        found[name], log = train(make(), Path(folder))
        print(f"test accuracy {found[name]:.3f}  {name}")
        if name != "no clipping":
            file = Path(folder) / f"{name.partition('(')[0].lower()}{'_value' * ('value' in name)}.png"
            plot_clipping(read_metrics(log), file, title=name)
            print(f"                     {file}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
