"""A person at the wheel: somebody who writes orders into a control file while a run goes on."""

import os
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from tiny import Net

from lightning_tricks import LiveControl


class Person(Callback):
    """Write orders before the batches of given numbers, or delete the file, and wait until they count."""

    def __init__(self, orders: dict[int, str | None]) -> None:
        self.orders = orders
        self.batch = -1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batch += 1
        if self.batch in self.orders and trainer.is_global_zero:
            order, path = self.orders[self.batch], Path("control.yaml")
            path.write_text(order) if order is not None else path.unlink()
            file = next(cb._file for cb in trainer.callbacks if isinstance(cb, LiveControl))
            deadline = time.monotonic() + 30
            while file.settled() != order and time.monotonic() < deadline:
                time.sleep(0.002)


class Watch(Net):
    """Remember at which steps validation ran."""

    def __init__(self, **of_net: Any) -> None:
        super().__init__(**of_net)
        self.validated: list[int] = []

    def on_validation_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.validated.append(self.trainer.global_step)


def there(order: str) -> None:
    """Have the file stand there long before training starts."""
    Path("control.yaml").write_text(order)
    os.utime("control.yaml", (0, 0))
