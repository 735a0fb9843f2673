"""Driver: the one callback that moves a run's clock, in front of all others for as long as the run lasts."""

from typing import Any, Protocol

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer


class Driven(Protocol):
    """What a driver tells its run."""

    error: BaseException | None

    def begin(self) -> None: ...
    def start(self) -> None: ...
    def start_epoch(self) -> None: ...
    def before_batch(self, batch_idx: int) -> None: ...
    def before_step(self, optimizer: Optimizer) -> None: ...
    def after_batch(self, batch_idx: int) -> None: ...
    def end_epoch(self) -> None: ...
    def end(self) -> None: ...


class RunDriver(Callback):
    """Tell a run which hook was reached, before any other callback acts in it.

    Args:
        run: the run; it puts this callback in front of the Trainer's list and takes it off again.
    """

    only_looks = True  # trial steps go without it

    def __init__(self, run: Driven) -> None:
        self._run = run

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.begin()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.start_epoch()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._run.before_batch(batch_idx)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._run.before_step(optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._run.after_batch(batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.end_epoch()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._run.error = exception  # the run ends once every callback has had this hook

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._run.end()
