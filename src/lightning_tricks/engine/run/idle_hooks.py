"""Idle hooks: hide the per-step hooks that a callback of this library does not override."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Callback

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_start",
    "on_validation_batch_end",
)


def hide_idle_hooks(callbacks: Sequence[Callback]) -> Callable[[], None]:
    """Hide, on these objects, the per-step hooks that their classes do not override.

    Lightning creates a profiler context for every hook of every callback, even for empty ones: about 2 µs each, eight
    times per step. It skips a hook that is not callable. Only for callbacks in the Trainer's list, because direct
    callers of a hook expect a method.

    Returns:
        A function that restores them.
    """
    hidden: list[tuple[Callback, str]] = []
    for callback in callbacks:
        for hook in STEP_HOOKS:
            if getattr(type(callback), hook) is getattr(Callback, hook) and hook not in vars(callback):
                vars(callback)[hook] = None
                hidden.append((callback, hook))

    def show() -> None:
        for callback, hook in hidden:
            vars(callback).pop(hook, None)

    return show


def call_hook(callback: Any, hook: str, *arguments: Any) -> None:
    """Call a hook of a callback unless it is hidden."""
    method = getattr(callback, hook)
    if method is not None:
        method(*arguments)
