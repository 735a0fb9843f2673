"""A client in the manner of lightning-hydra-template, which knows nothing of tricks: it builds what its configs name.

Usage: python train.py OVERRIDES
"""

from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hydra


class Classifier(LightningModule):
    """Metrics with a slash in their names; the optimizer and the scheduler come from the configuration."""

    def __init__(self, optimizer: Any, scheduler: Any = None) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        self.build_optimizer, self.build_scheduler = optimizer, scheduler

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "val")

    def step(self, batch: Any, stage: str) -> Any:
        x, y = batch
        logits = self.net(x)
        loss = nn.functional.cross_entropy(logits, y)
        self.log_dict({f"{stage}/loss": loss, f"{stage}/acc": (logits.argmax(1) == y).float().mean()}, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = self.build_optimizer(params=self.parameters())
        if self.build_scheduler is None:
            return optimizer
        scheduler = self.build_scheduler(optimizer=optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"}}


def loader() -> Any:
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16)


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> None:
    callbacks = [instantiate(node) for node in cfg.callbacks.values() if node and "_target_" in node]
    out = HydraConfig.get().runtime.output_dir
    trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=CSVLogger(out, name="csv", version=""))
    trainer.fit(instantiate(cfg.model), loader(), loader())
    names = " ".join(type(callback).__name__ for callback in trainer.callbacks)
    Path(out, "seen.txt").write_text(f"{names}\n{trainer.optimizers[0].param_groups[0]['lr']}\n")


if __name__ == "__main__":
    main()
