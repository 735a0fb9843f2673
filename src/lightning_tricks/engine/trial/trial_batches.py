"""Trial batches: a separate pass over the training loader of a run, which is not affected by the trial."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_tricks.engine.run.idle_hooks import call_hook
from lightning_tricks.engine.run.lightning_internals import clone_loader, shutdown_loader, to_device, train_loader
from lightning_tricks.engine.trial.resized_loader import batch_size_of, rows_of, set_batch_size_
from lightning_tricks.engine.trial.trial_step import is_untouched

_BATCH_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class TrialBatches:
    """The batches of the training loader with their indices, on their device, repeated cyclically.

    Args:
        trainer: a fitting Trainer.
        pl_module: its module.
        callbacks: the callbacks that see each batch.
        batch_size: rows of a batch; ``None``: as the loader makes them.

    Attributes:
        rows: number of rows returned by this process, where ``batch_size`` is given.

    Raises:
        ValueError: while iterating, the loader is empty.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: while iterating, it can be read only once.
    """

    def __init__(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        callbacks: Sequence[Callback],
        batch_size: int | None = None,
    ) -> None:
        self._trainer: Any = trainer
        self._module: Any = pl_module
        self._callbacks = callbacks
        self._batch_size = batch_size
        self.rows = 0
        self._loader: Any = None
        self._stream = self._cycle()

    def __next__(self) -> tuple[Any, int]:
        return next(self._stream)

    def _cycle(self) -> Iterator[tuple[Any, int]]:
        trainer, module = self._trainer, self._module
        move, limit, rows_of_batch = self._mover(), self._limit(), self._rows_of_batch()
        while True:
            count = 0
            self._loader = self._clone()
            for batch, batch_idx, _ in self._loader:
                if batch_idx >= limit:
                    break
                if batch is None:
                    continue
                batch = move(trainer.precision_plugin.convert_input(batch))
                for callback in self._callbacks:
                    call_hook(callback, "on_train_batch_start", trainer, module, batch, batch_idx)
                if module.on_train_batch_start(batch, batch_idx) == -1:
                    break
                count += 1
                self.rows += rows_of_batch(batch_idx)
                yield batch, batch_idx
            self.close()
            if not count:
                raise ValueError(
                    "The training loader is empty: there is no batch to take a step on. Check the dataset, "
                    "`drop_last` and `limit_train_batches`."
                )

    def _mover(self) -> Callable[[Any], Any]:
        """Return the function that moves a batch to the device: directly, if no user or strategy hook is involved.

        The Trainer's three empty hooks take a tenth of the step time of a small network.
        """
        trainer, strategy, module = self._trainer, self._trainer.strategy, self._module
        owners = [module, trainer.datamodule] if trainer.datamodule is not None else [module]
        ordinary = all(is_untouched(owner, "core.hooks", *_BATCH_HOOKS) for owner in owners)
        if ordinary and is_untouched(strategy, "strategies.strategy", "batch_to_device"):
            return lambda batch: move_data_to_device(batch, strategy.root_device)

        return lambda batch: to_device(trainer, module, batch)

    def _limit(self) -> float:
        """Return the number of batches in a pass: at another size, as many as contain the same rows."""
        limit: float = self._trainer.num_training_batches
        if self._batch_size is None or math.isinf(limit):
            return limit
        return math.ceil(limit * batch_size_of(self._trainer) / self._batch_size)

    def _rows_of_batch(self) -> Callable[[int], int]:
        """Return a function from the index of a batch to its rows: the last one of a pass has what is left."""
        size = self._batch_size
        if size is None:
            return lambda batch_idx: 0
        rows = rows_of(self._trainer)
        if rows is None:
            return lambda batch_idx: size
        return lambda batch_idx: min(size, rows - batch_idx * size)

    def _clone(self) -> Any:
        try:
            own = clone_loader(train_loader(self._trainer))
            if self._batch_size is not None:
                set_batch_size_(own, self._batch_size)
            return own
        except TypeError as error:
            raise MisconfigurationException(
                f"The training loader can be read only once ({error}), so its batches cannot be restored after a "
                f"trial. Return a DataLoader or a list, not a generator."
            ) from error

    def close(self) -> None:
        """End the workers of this pass."""
        if self._loader is not None:
            shutdown_loader(self._loader)
            self._loader = None
