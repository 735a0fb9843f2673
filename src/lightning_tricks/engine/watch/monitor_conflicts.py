"""Monitor conflicts: find callbacks that contradict a watcher, or stop a run before it can act."""

import inspect
from collections.abc import Iterable
from typing import Any, Protocol

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.class_names import is_instance_of

_BETTER = {"min": "lower", "max": "higher"}


class Watcher(Protocol):
    """The compared attributes."""

    monitor: str
    mode: Any
    restore_best: bool

    @property
    def state_key(self) -> str: ...


def refuse_other_modes(trainer: Trainer, watcher: Watcher) -> None:
    """Raise an error if two callbacks use one metric with opposite modes; two of the same class may do so.

    Raises:
        MisconfigurationException: lower is better for one callback and worse for the other.
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
    """Warn, once per pair, that two callbacks restore the weights that were best by different metrics."""
    for other in watchers:
        if other is watcher:  # the later one of a pair warns
            return
        if watcher.restore_best and other.restore_best and other.monitor != watcher.monitor:
            rank_zero_warn(
                f"{other.state_key} and {watcher.state_key} both restore their best weights; those of the latter are "
                f"kept. Set `restore_best=False` in one of them."
            )


def warn_of_early_stops(trainer: Trainer, monitor: str, mode: str, patience: int) -> None:
    """Warn about an early stopping, Lightning's or ours, whose patience is not longer than that of the plateau rule.

    Our class with the same patience waits for the reductions (:func:`waits_for_cuts`). If both have their default
    patience, the user has not chosen a wrong number, and there is no warning.
    """
    rule = f"`ReduceLROnPlateau(monitor={monitor!r}, patience={patience})`"
    for other in _of_kinds(trainer, "EarlyStopping"):
        if other.patience > patience:
            continue
        stopping = f"`EarlyStopping(monitor={other.monitor!r}, patience={other.patience})`"
        if not (_is_ours(other) and (other.monitor, other.mode, other.patience) == (monitor, mode, patience)):
            rank_zero_warn(
                f"{stopping} stops before {rule} has reduced the learning rate. Give it a longer `patience`, several "
                f"times that of the plateau rule."
            )
        elif patience != inspect.signature(type(other).__init__).parameters["patience"].default:
            rank_zero_warn(
                f"{stopping} has no longer patience than {rule}, so it waits until the learning rate cannot be reduced "
                f"further. To stop earlier, give it a `patience` of several times that of the plateau rule."
            )


def warn_of_other_stops(trainer: Trainer, watcher: Watcher) -> None:
    """Warn of an early stopping of Lightning's next to one of ours by the same metric: the less patient one decides."""
    if not is_instance_of(watcher, "EarlyStopping"):
        return
    for other in _of_kinds(trainer, "EarlyStopping"):
        if not _is_ours(other) and other.monitor == watcher.monitor:
            rank_zero_warn(
                f"Lightning's `EarlyStopping(patience={other.patience})` and that of lightning-tricks both stop "
                f"training by `{watcher.monitor}`, and the less patient one decides. Keep one of them."
            )


class Cutter(Protocol):
    """The attributes of a plateau rule that are read."""

    monitor: str
    mode: Any
    patience: int

    def could_cut(self, position: int) -> bool: ...


def waits_for_cuts(trainer: Trainer, stopping: Any, position: int) -> bool:
    """Return whether early stopping leaves a check to a plateau rule with the same metric and patience.

    Args:
        trainer: the Trainer whose callbacks may include such a rule.
        stopping: a callback with ``monitor``, ``mode`` and ``patience``.
        position: the position of the check, which the rule may or may not have processed yet.
    """
    rules: list[Cutter] = [rule for rule in _of_kinds(trainer, "ReduceLROnPlateau") if _is_ours(rule)]
    same = (stopping.monitor, stopping.mode, stopping.patience)
    return any((rule.monitor, rule.mode, rule.patience) == same and rule.could_cut(position) for rule in rules)


def _is_ours(callback: object) -> bool:
    return is_instance_of(callback, "MetricWatcher")


def _of_kinds(trainer: Trainer, *names: str) -> list[Any]:
    """Return the callbacks with these class names, from any package."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if is_instance_of(cb, *names)]
