"""Fit all public callbacks at once, saving at each batch, until this process kills itself.

Usage: python killed_fit.py FOLDER BATCH
"""

import os
import signal
import sys
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny import fit
from tricks import TINY


class Kill(Callback):
    """Send SIGKILL to this process before a batch: nothing can be tidied up."""

    def __init__(self, batch: int) -> None:
        self.left = batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def every_batch(folder: str) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    fit(*[make() for make in TINY.values()], Kill(int(sys.argv[2])), every_batch(sys.argv[1]))
