"""Monitor conflicts: callbacks next to a watcher that contradict it, or stop a run before it could act."""

import inspect
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
                f"`{ours}` treats a {_BETTER[watcher.mode]} `{watcher.monitor}` as better (`mode`={watcher.mode!r}), "
                f"`{type(other).__name__}` a {_BETTER[other.mode]} one (`mode`={other.mode!r}). Give both the same "
                "`mode`."
            )


def warn_of_other_bests(watcher: Watcher, watchers: Iterable[Watcher]) -> None:
    """Warn, once for a pair, that two restore the weights that were best by different metrics."""
    for other in watchers:
        if other is watcher:  # the later of a pair warns, of those before it
            return
        if watcher.restore_best and other.restore_best and other.monitor != watcher.monitor:
            rank_zero_warn(
                f"{other.state_key} and {watcher.state_key} both restore their best weights; in the end those of the "
                "latter remain. Set `restore_best=False` in one of them."
            )


def warn_of_early_stops(trainer: Trainer, monitor: str, mode: str, patience: int) -> None:
    """Warn about an early stopping, Lightning's or ours, whose patience is not longer than that of the plateau rule.

    Ours with the same patience waits for the cuts (:func:`waits_for_cuts`); if both have their default patience, nobody
    chose a number that could be wrong.
    """
    rule = f"`ReduceLROnPlateau(monitor={monitor!r}, patience={patience})`"
    for other in _of_kinds(trainer, "EarlyStopping"):
        if other.patience > patience:
            continue
        stopping = f"`EarlyStopping(monitor={other.monitor!r}, patience={other.patience})`"
        if not (_is_ours(other) and (other.monitor, other.mode, other.patience) == (monitor, mode, patience)):
            rank_zero_warn(
                f"{stopping} stops before {rule} has cut the learning rate. Give it a longer `patience`: several times "
                "this one."
            )
        elif patience != inspect.signature(type(other).__init__).parameters["patience"].default:
            rank_zero_warn(
                f"{stopping} is not more patient than {rule}, so it waits until the learning rate can be cut no "
                "further. To stop earlier, give it a `patience` of several times this one."
            )


class Cutter(Protocol):
    """What is asked of a plateau rule."""

    monitor: str
    mode: Any
    patience: int

    def could_cut(self, position: int) -> bool: ...


def waits_for_cuts(trainer: Trainer, stopping: Any, position: int) -> bool:
    """Return whether an early stopping leaves a check to a plateau rule of the same metric and the same patience.

    Args:
        trainer: has the rule among its callbacks.
        stopping: has a ``monitor``, a ``mode`` and a ``patience``.
        position: of the check; the rule may have seen it already, or not yet.
    """
    rules: list[Cutter] = [rule for rule in _of_kinds(trainer, "ReduceLROnPlateau") if _is_ours(rule)]
    same = (stopping.monitor, stopping.mode, stopping.patience)
    return any((rule.monitor, rule.mode, rule.patience) == same and rule.could_cut(position) for rule in rules)


def _is_ours(callback: object) -> bool:
    return any(kind.__name__ == "MetricWatcher" for kind in type(callback).__mro__)


def _of_kinds(trainer: Trainer, *names: str) -> list[Any]:
    """Return the callbacks of the classes of these names, whichever package they come from."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if any(kind.__name__ in names for kind in type(cb).__mro__)]
