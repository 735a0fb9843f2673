"""Switched hooks: hide per-step hooks of a callback from Lightning in the batches in which they would do nothing."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Callback

from lightning_tricks.engine.run.run import Run, RunPart


class _Switch(NamedTuple):
    owner: dict[str, Any]
    hooks: list[str]
    acts: Callable[[], bool]


class SwitchedHooks(RunPart):
    """Hooks that act in few batches.

    Lightning spends several microseconds on each hook of each callback in each step. Before each batch, one condition
    for several hooks decides whether Lightning will see them.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._switches: list[_Switch] = []
        self._hidden: list[bool] = []
        run.on_end(self._show_all)

    def add(self, callback: Callback, kind: type[Callback], hooks: Sequence[str], acts: Callable[[], bool]) -> None:
        """Show hooks of a callback only if a condition holds before a batch.

        Args:
            callback: a callback in the Trainer's list.
            kind: the class that defines the hooks; a hook that a subclass overrides is always shown.
            hooks: the names of the hooks.
            acts: the condition, which is evaluated in every step.
        """
        own = [hook for hook in hooks if getattr(type(callback), hook) is getattr(kind, hook)]
        self._switches.append(_Switch(vars(callback), own, acts))
        self._hidden.append(False)

    def before_batch(self) -> None:
        """Show the hooks that act in the coming batch, and hide the others."""
        for place, (owner, hooks, acts) in enumerate(self._switches):
            if acts() is self._hidden[place]:
                self._hidden[place] = not self._hidden[place]
                for hook in hooks:
                    if self._hidden[place]:
                        owner[hook] = None
                    else:
                        del owner[hook]

    def _show_all(self) -> None:
        for owner, hooks, _ in self._switches:
            for hook in hooks:
                owner.pop(hook, None)
