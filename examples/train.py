"""Train any LightningModule with tricks selected on the command line. Copy and adapt this file.

Usage::

    python examples/train.py
    python examples/train.py experiment=lstm trainer=ddp_fork
    python examples/train.py experiment=plain 'tricks=[cosine_decay]' tricks.cosine_decay.warmup=100st
    python examples/train.py -m experiment=plain model.lr=0.01,0.1 'tricks=[],[cosine_decay]'
"""

from pathlib import Path

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig

import hydra
from lightning_tricks import LRFinder
from lightning_tricks.hydra import instantiate_callbacks
from lightning_tricks.reports.curves import plot_curves, read_metrics


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Fit, test and report; return the last validation loss, which a sweeper can minimize."""
    out = Path(HydraConfig.get().runtime.output_dir) / "curves"
    L.seed_everything(cfg.seed, workers=True)
    model, data = instantiate(cfg.model), instantiate(cfg.data)
    callbacks = [*instantiate_callbacks(cfg.get("tricks")), LearningRateMonitor("step")]
    logger = CSVLogger(out, name="", version="")
    trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=logger, default_root_dir=out.parent)
    trainer.fit(model, data)
    fitted = {name: float(value) for name, value in trainer.callback_metrics.items()}
    trainer.loggers = []  # test results do not belong to the curves; a restarted process would also create a new file
    tested = trainer.test(model, data, verbose=False)[0]
    if trainer.is_global_zero:
        for result in [finder.result for finder in callbacks if isinstance(finder, LRFinder) and finder.result]:
            result.plot().savefig(out / "lr_finder.png")
        results = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in tested.items())
        title = f"{type(model).__name__} after {trainer.current_epoch} epochs: {results}"
        plot_curves(read_metrics(out / "metrics.csv"), out / "curves.png", title=title)
        report({**fitted, **tested}, type(model).__name__, out)
    return fitted["val_loss"]


def report(metrics: dict[str, float], model: str, out: Path) -> None:
    """Print one line per result."""
    lines: dict[str, object] = {"model": model, "training loss": metrics["train_loss"], "val loss": metrics["val_loss"]}
    lines |= {name.replace("_", " "): value for name, value in metrics.items() if name.startswith("test_")}
    files = {"curves": "curves.png", "numbers": "metrics.csv", "report": "report.html"}
    lines |= {name: out / file for name, file in files.items() if (out / file).is_file()}
    shown = [f"{value:.3f}" if isinstance(value, float) else value for value in lines.values()]
    print(*(f"\n{name:<13} {value}" for name, value in zip(lines, shown, strict=True)), sep="")


if __name__ == "__main__":
    main()
