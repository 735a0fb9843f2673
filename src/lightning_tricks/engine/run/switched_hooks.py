"""Switched hooks: hide per-step hooks of a callback from Lightning in the batches in which they would do nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Callback

from lightning_tricks.engine.run.run import Run, RunPart


@dataclass
class _Switch:
    owner: dict[str, Any]
    hook: str
    acts: Callable[[], bool]
    is_hidden: bool = False

    def show(self) -> None:
        self.is_hidden = False
        self.owner.pop(self.hook, None)


class SwitchedHooks(RunPart):
    """Hooks that act in few batches.

    Lightning spends several microseconds on each hook of each callback in each step. Before each batch, one condition
    per hook decides whether Lightning will see it.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._switches: list[_Switch] = []
        run.on_end(self._show_all)

    def add(self, callback: Callback, kind: type[Callback], **hooks: Callable[[], bool]) -> None:
        """Show hooks of a callback only if a condition holds before a batch.

        Args:
            callback: a callback in the Trainer's list.
            kind: the class that defines the hooks; a hook that a subclass overrides is always shown.
            **hooks: the condition of each hook.
        """
        for hook, acts in hooks.items():
            if getattr(type(callback), hook) is getattr(kind, hook):
                self._switches.append(_Switch(vars(callback), hook, acts))

    def before_batch(self) -> None:
        """Show the hooks that act in the coming batch, and hide the others."""
        for switch in self._switches:
            if switch.acts() is switch.is_hidden:
                if switch.is_hidden:
                    switch.show()
                else:
                    switch.is_hidden, switch.owner[switch.hook] = True, None

    def _show_all(self) -> None:
        for switch in self._switches:
            switch.show()
