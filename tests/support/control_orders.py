"""Write orders into a control file while a run continues, and record when the run validated."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from tiny import Net

import lightning_tricks


def write_and_wait(live: Any, order: str | None) -> None:
    """Write an order where LiveControl looks, or delete the file, and wait until that counts; on the reading rank."""
    path = Path(live._file.path)
    path.write_text(order) if order is not None else path.unlink()
    deadline = time.monotonic() + 30
    while live._file.settled() != order and time.monotonic() < deadline:
        time.sleep(0.002)


class OrderWriter(Callback):
    """Write orders before the batches of given numbers, or delete the file, and wait until they count."""

    def __init__(self, orders: dict[int, str | None]) -> None:
        self.orders = orders
        self.batch = -1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batch += 1
        if self.batch in self.orders and trainer.is_global_zero:
            live = next(cb for cb in trainer.callbacks if isinstance(cb, lightning_tricks.LiveControl))
            write_and_wait(live, self.orders[self.batch])


def at_once(order: str) -> OrderWriter:
    """Give an order before the first batch."""
    return OrderWriter({0: order})


class ValidationRecorder(Net):
    """Remember at which steps validation ran."""

    def __init__(self, **of_net: Any) -> None:
        super().__init__(**of_net)
        self.validated: list[int] = []

    def on_validation_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.validated.append(self.trainer.global_step)
