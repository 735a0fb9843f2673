"""Lower a learning rate that is too high while the model trains.

Here a thread sends the order; in your project, run this in another terminal: lightning-tricks control FOLDER lr=x0.05

Usage: python examples/live_control.py [FOLDER]
"""

import sys
import threading
import time
import warnings
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger

from digits import CNN, Digits
from lightning_tricks import LiveControl
from lightning_tricks.cli.main import main as lightning_tricks
from lightning_tricks.reports.curves import plot_curves, read_metrics


def lower_learning_rate(trainer: L.Trainer, epoch: int) -> None:
    """Wait for the given epoch, then multiply the learning rate by 0.05."""
    while trainer.current_epoch < epoch:
        time.sleep(0.05)
    lightning_tricks(["control", trainer.log_dir, "lr=x0.05"])


def main(folder: str = "outputs/live_control") -> tuple[float, float]:
    """Return the mean validation loss of the five epochs before the order and of the last five epochs."""
    warnings.filterwarnings("ignore", ".*does not have many workers|.*is not empty")
    Path(folder).mkdir(parents=True, exist_ok=True)
    L.seed_everything(0)
    live = LiveControl(every_n_steps=5, log_factors=True)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=30,
        default_root_dir=folder,
        callbacks=[live, LearningRateMonitor("step")],
        logger=CSVLogger(folder, name="", version=""),
        log_every_n_steps=4,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    sender = threading.Thread(target=lower_learning_rate, args=(trainer, 8), daemon=True)
    sender.start()
    trainer.fit(CNN(lr=0.5), Digits())
    sender.join()

    metrics = read_metrics(Path(folder) / "metrics.csv")
    at = live.applied[0]["step"]
    losses = metrics["val_loss"]
    before = [loss for step, loss in losses if step < at][-5:]
    after = [loss for _, loss in losses[-5:]]
    print(f"order applied at step {at}: {live.applied[0]['content']}")
    print(f"mean val_loss of five epochs: {sum(before) / 5:.3f} before the order, {sum(after) / 5:.3f} at the end")
    plot_curves(metrics, Path(folder) / "live_control.png", title="learning rate × 0.05 during training")
    print(f"wrote {Path(folder) / 'live_control.png'}")
    return sum(before) / 5, sum(after) / 5


if __name__ == "__main__":
    main(*sys.argv[1:])
