"""Callbacks that record what a test wants to see in the hooks that it names, and that end a fit when it is seen."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback
from tiny import weights

Read = Callable[[Any, Any], Any]


class Recorder(Callback):
    """Append what ``read(trainer, module)`` returns to ``seen[hook]``, each time that a hook is called.

    The sanity check is not recorded.
    """

    def __init__(self, **reads: Read) -> None:
        self.seen: dict[str, list[Any]] = {hook: [] for hook in reads}
        for hook, read in reads.items():
            setattr(self, hook, self._recorded(hook, read))

    def _recorded(self, hook: str, read: Read) -> Callable[..., None]:
        def record(trainer: Any, pl_module: Any, *_: Any, **__: Any) -> None:
            if not trainer.sanity_checking:
                self.seen[hook].append(read(trainer, pl_module))

        return record


def weights_now(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """Return a copy of all parameters and buffers, to be given to a `Recorder`."""
    return weights(pl_module)


class FirstBatchError(Exception):
    """Everything that is said when a fit starts has been said."""


class EndAtFirstBatch(Callback):
    """Raise a `FirstBatchError` at the first batch."""

    def on_train_batch_start(self, *_: Any) -> None:
        raise FirstBatchError
