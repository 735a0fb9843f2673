"""One training of one task: how it is set up, what it ends with, and how many steps it took in all."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.tuner import Tuner
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from lightning_tricks import EarlyStopping
from shipped_rows import Rows
from tasks import Task, loss_of, split

NEVER = 10**6  # checks without a better score
WORST = 1e6  # the loss that counts where training diverged

MakeOptimizer = Callable[[Sequence[torch.nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Method:
    """A way to train.

    Attributes:
        optimizer: builds the optimizer.
        callbacks: makes the callbacks.
        best_weights: end with the weights of the best validation, as all callbacks but our recipe need it.
        tunes: call Lightning's ``Tuner.lr_find`` first, as shipped.
    """

    optimizer: MakeOptimizer
    callbacks: Callable[[], list[L.Callback]] = list
    best_weights: bool = True
    tunes: bool = False


class Outcome(NamedTuple):
    """What a training ends with: losses on the rows that choose and that score, and its length in trainings."""

    val: float
    test: float
    trainings: float


class Learner(L.LightningModule):
    """A network with an ordinary optimizer, as users write it; no trick is used in it."""

    def __init__(self, net: torch.nn.Module, make_optimizer: MakeOptimizer) -> None:
        super().__init__()
        self.net, self.make_optimizer = net, make_optimizer
        self.lr: float | None = None

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return loss_of(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the loss."""
        self.log("val_loss", loss_of(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer, whose steps are counted, also those of a search that is undone."""
        optimizer = self.make_optimizer(list(self.net.parameters()))
        if self.lr is not None:  # Lightning's tuner found it
            for group in optimizer.param_groups:
                group["lr"] = self.lr
        optimizer.register_step_post_hook(_count_step)
        return optimizer

    def on_train_epoch_start(self) -> None:
        """Turn a schedule-free optimizer to its training weights."""
        self._turn("train")

    def on_validation_epoch_start(self) -> None:
        """Turn a schedule-free optimizer to its average."""
        self._turn("eval")

    def _turn(self, mode: str) -> None:
        for optimizer in self.trainer.optimizers:
            getattr(optimizer, mode, int)()


_steps_taken = 0  # of all optimizers of this process, here because a search restores whatever a module holds


def _count_step(*_: object) -> None:
    global _steps_taken
    _steps_taken += 1


def quiet_trainer(epochs: int, callbacks: list[L.Callback], **arguments: Any) -> L.Trainer:
    """Return a Trainer that writes nothing."""
    return L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=callbacks, logger=False, num_sanity_val_steps=0,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **arguments,
    )  # fmt: skip


def train(task: Task, method: Method, seed: int) -> Outcome:
    """Train once and return the losses of the weights that the method ends with."""
    rows = split(task, seed)
    torch.manual_seed(seed)
    module, before = Learner(task.build(), method.optimizer), _steps_taken
    loader, whole = _loader(rows.train, task.batch, seed), _loader(rows.val, len(rows.val[0]))
    best: list[L.Callback] = [EarlyStopping("val_loss", patience=NEVER)] if method.best_weights else []
    if method.tunes:
        Tuner(quiet_trainer(task.epochs, [])).lr_find(module, loader, attr_name="lr")
    quiet_trainer(task.epochs, [*method.callbacks(), *best]).fit(module, loader, whole)
    planned, taken = task.epochs * len(loader), _steps_taken - before
    return Outcome(_loss(module, rows.val), _loss(module, rows.test), taken / planned)


def _loader(rows: Rows, batch: int, seed: int | None = None) -> DataLoader:
    """Return batches that are read at once, which is several times as fast as row by row; shuffled by a seed."""
    data = TensorDataset(*rows)
    shuffled = seed is not None
    order = RandomSampler(data, generator=torch.Generator().manual_seed(seed)) if shuffled else SequentialSampler(data)
    return DataLoader(data, batch_size=None, sampler=BatchSampler(order, batch, drop_last=False))


def _loss(module: Learner, rows: tuple[Tensor, Tensor]) -> float:
    with torch.no_grad():
        loss = float(loss_of(module.net.eval()(rows[0]), rows[1]))
    return min(loss, WORST) if math.isfinite(loss) else WORST
