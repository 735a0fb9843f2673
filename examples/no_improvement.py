"""Halve the learning rate after n checks without improvement, stop at 1/1024 with the best weights: diabetes data.

Usage: python examples/no_improvement.py [FOLDER]
"""

import sys
import warnings
from pathlib import Path

import lightning as L

from digits import Diabetes, Regressor
from lightning_tricks import EarlyStopping, ReduceLROnPlateau
from lightning_tricks.reports.plateau import plot_plateau


def main(folder: str = "outputs") -> float:
    """Train until ten halvings bring no improvement; plot the run; return R² on the test set."""
    warnings.filterwarnings("ignore", ".*does not have many workers")
    L.seed_everything(0)
    rule = ReduceLROnPlateau("val_loss", patience=5, restore_best=True)
    keeper = EarlyStopping("val_loss", patience=60)  # longer than ten reductions: guards against NaN
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[rule, keeper],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data, model = Diabetes(), Regressor(lr=0.03)
    trainer.fit(model, data)
    again = trainer.validate(model, data, verbose=False)[0]["val_loss"]
    print(f"val_loss: best {rule.best_score:.6f}, of the final model {again:.6f}")
    r2 = trainer.test(model, data, verbose=False)[0]["test_r2"]
    print(f"test R² {r2:.3f} after {rule.num_reductions} reductions and {len(rule.history)} checks")

    picture = Path(folder) / "no_improvement.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plot_plateau(rule.history, picture, monitor="val_loss", base_lr=model.lr)
    print(f"wrote {picture}")
    return r2


if __name__ == "__main__":
    main(*sys.argv[1:])
