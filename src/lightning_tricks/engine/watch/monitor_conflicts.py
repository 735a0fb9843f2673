"""Monitor conflicts: refuse callbacks that contradict a watcher, and let early stopping wait for a plateau rule."""

from typing import Any, Protocol

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from lightning_tricks.core.class_names import is_instance_of

_BETTER = {"min": "lower", "max": "higher"}


class Watcher(Protocol):
    """The compared attributes."""

    monitor: str
    mode: Any


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
    named = _of_kinds(trainer, "ReduceLROnPlateau")
    rules: list[Cutter] = [rule for rule in named if is_instance_of(rule, "MetricWatcher")]
    same = (stopping.monitor, stopping.mode, stopping.patience)
    return any((rule.monitor, rule.mode, rule.patience) == same and rule.could_cut(position) for rule in rules)


def _of_kinds(trainer: Trainer, *names: str) -> list[Any]:
    """Return the callbacks with these class names and a monitor, from any package."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return [cb for cb in callbacks if is_instance_of(cb, *names) and hasattr(cb, "monitor")]
