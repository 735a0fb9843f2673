"""Driver: the callback that moves the clock of a run, before all other callbacks."""

from typing import Any, Protocol

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer


class Driven(Protocol):
    """The events that a driver reports to its run."""

    error: BaseException | None

    def begin(self) -> None: ...
    def start(self) -> None: ...
    def start_epoch(self) -> None: ...
    def before_batch(self, batch: Any, batch_idx: int) -> None: ...
    def before_step(self, optimizer: Optimizer) -> None: ...
    def after_batch(self, batch_idx: int) -> None: ...
    def end_epoch(self) -> None: ...
    def end(self) -> None: ...


class RunDriver(Callback):
    """Report each hook to a run, before any other callback acts in it.

    Args:
        run: the run, which inserts this callback at the start of the Trainer's list and removes it again.
    """

    only_looks = True  # trial steps do not call it

    def __init__(self, run: Driven) -> None:
        self._run = run

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.begin()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.start_epoch()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._run.before_batch(batch, batch_idx)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._run.before_step(optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._run.after_batch(batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.end_epoch()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._run.error = exception  # the run ends after this hook of all callbacks

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._run.end()
