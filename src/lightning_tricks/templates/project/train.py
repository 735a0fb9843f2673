"""Train as configured in conf/train.yaml; every value can be overridden on the command line.

Usage::

    python train.py
    python train.py 'tricks=[one_cycle]' trainer.max_epochs=5
    python train.py -m model.lr=0.01,0.1
"""

import warnings

import hydra
import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig

from lightning_tricks.hydra import instantiate_callbacks


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Fit, test and print the metrics; return the best validation loss, which a sweeper can minimize."""
    warnings.filterwarnings("ignore", ".*does not have many workers")  # the data are in memory
    out = HydraConfig.get().runtime.output_dir
    L.seed_everything(cfg.seed, workers=True)
    model, data = instantiate(cfg.model), instantiate(cfg.data)
    callbacks = instantiate_callbacks(cfg.get("tricks"))
    trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=CSVLogger(out, name="logs", version=""))
    trainer.fit(model, data)
    val_loss = float(trainer.callback_metrics["val_loss"])
    trainer.test(model, data)
    return val_loss


if __name__ == "__main__":
    main()
