"""Watch company: callbacks beside a watcher of a metric that contradict it, or stop a run before it could act."""

from collections.abc import Iterable
from typing import Any, Protocol

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

_BETTER = {"min": "lower", "max": "higher"}


class Watcher(Protocol):
    """What is looked at."""

    monitor: str
    mode: Any
    restore_best: bool

    @property
    def state_key(self) -> str: ...


def refuse_other_modes(trainer: Trainer, watcher: Watcher) -> None:
    """Refuse that two callbacks mean the opposite by one metric; two of one class may, by the user's wish.

    Raises:
        MisconfigurationException: one takes lower for better, the other higher.
    """
    ours = type(watcher).__name__
    for other in _of_kinds(trainer, "EarlyStopping", "MetricWatcher"):
        if type(other) is not type(watcher) and other.monitor == watcher.monitor and other.mode != watcher.mode:
            raise MisconfigurationException(
                f"`{ours}` takes a `{watcher.monitor}` that is {_BETTER[watcher.mode]} for better "
                f"(`mode`={watcher.mode!r}), `{type(other).__name__}` one that is {_BETTER[other.mode]} "
                f"(`mode`={other.mode!r}). Give both the same `mode`."
            )


def warn_of_other_bests(watcher: Watcher, watchers: Iterable[Watcher]) -> None:
    """Warn, once for a pair, that two put back the weights that were best by different metrics."""
    for other in watchers:
        if other is watcher:  # the later of a pair warns, of those before it
            return
        if watcher.restore_best and other.restore_best and other.monitor != watcher.monitor:
            rank_zero_warn(
                f"{other.state_key} and {watcher.state_key} both put their best weights back; in the end those of the "
                "latter stay. Set `restore_best=False` in one of them."
            )


def warn_of_early_stops(trainer: Trainer, monitor: str, patience: int) -> None:
    """Warn about an early stopping, Lightning's or ours, that ends the run before the first cut."""
    for other in _of_kinds(trainer, "EarlyStopping"):
        if other.patience <= patience:
            rank_zero_warn(
                f"`EarlyStopping(monitor={other.monitor!r}, patience={other.patience})` stops before "
                f"`ReduceLROnPlateau(monitor={monitor!r}, patience={patience})` has cut the learning rate. Give it a "
                "longer `patience`: several times this one."
            )


def _of_kinds(trainer: Trainer, *names: str) -> list[Any]:
    """Return the callbacks of the classes of these names, whichever package they come from."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if any(kind.__name__ in names for kind in type(cb).__mro__)]
