"""Trial step: go from a loss to new weights, through Lightning's hooks or directly if none is overridden."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_tricks.engine.lr.lr_contributor import LRContributor
from lightning_tricks.engine.run.idle_hooks import call_hook
from lightning_tricks.engine.run.lightning_internals import lightning_optimizer

_STEP_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")


class TrialStep:
    """The gradient and weight updates of a step of automatic optimization, without Lightning's counters.

    Lightning runs each step through twenty methods, most of which exist to be overridden; this takes a tenth of the
    step time of a small network. If none is overridden, only three torch calls remain.

    Args:
        trainer: a fitting Trainer.
        pl_module: its module.
        callbacks: the callbacks that change a step.
    """

    def __init__(self, trainer: Trainer, pl_module: LightningModule, callbacks: Sequence[Callback]) -> None:
        self._trainer: Any = trainer
        self._module: Any = pl_module
        self._callbacks = callbacks
        self._wrapped, self._optimizer = lightning_optimizer(trainer)
        self._straight = self._is_not_overridden()

    def _is_not_overridden(self) -> bool:
        """Return whether no method between this class and torch is overridden."""
        trainer, module, strategy = self._trainer, self._module, self._trainer.strategy
        of_module = ("backward", "optimizer_zero_grad", "optimizer_step", "configure_gradient_clipping")
        of_strategy = ("backward", "pre_backward", "post_backward", "optimizer_step")
        of_precision = ("backward", "pre_backward", "post_backward", "optimizer_step", "_wrap_closure")
        of_clipping = ("_after_closure", "_clip_gradients", "clip_gradients")
        return (
            not self._callbacks
            and not trainer.gradient_clip_val
            and is_untouched(module, "core.hooks", *_STEP_HOOKS)
            and is_untouched(module, "core.module", *of_module, "clip_gradients")
            and is_untouched(strategy, "strategies.strategy", *of_strategy)
            and is_untouched(trainer.precision_plugin, "plugins.precision.precision", *of_precision, *of_clipping)
            and is_untouched(self._wrapped, "core.optimizer", "step", "_on_before_step", "_on_after_step")
        )

    def zero_grad(self, batch_idx: int) -> None:
        """Clear the gradients of the previous step."""
        if self._straight:
            self._optimizer.zero_grad()
            return
        for callback in self._callbacks:
            call_hook(callback, "on_before_zero_grad", self._trainer, self._module, self._optimizer)
        self._module.on_before_zero_grad(self._optimizer)
        self._module.optimizer_zero_grad(self._trainer.current_epoch, batch_idx, self._optimizer)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        if self._straight:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._trainer.strategy.backward(loss, self._optimizer)

    def update(self, batch_idx: int, closure: Callable[[], Tensor | None]) -> None:
        """Let the optimizer call the closure, once or several times, and update the weights."""
        if self._straight:
            self._optimizer.step(closure=closure)
        else:
            self._module.optimizer_step(self._trainer.current_epoch, batch_idx, self._wrapped, closure)


def alters_steps(callback: Callback) -> bool:
    """Return whether a callback may change a step; callbacks that write the learning rate do not count."""
    if isinstance(callback, LRContributor) or getattr(callback, "only_looks", False):
        return False
    return not is_untouched(callback, "callbacks.callback", *_STEP_HOOKS)


def is_untouched(owner: object, file: str, *methods: str) -> bool:
    """Return whether these methods of an object are defined in a given file of either Lightning package.

    Overrides, instance attributes and wrappers are defined elsewhere, independent of their names.
    """
    homes = {f"lightning.pytorch.{file}", f"pytorch_lightning.{file}"}
    shown = (method for method in methods if vars(owner).get(method, method) is not None)  # a hidden hook does nothing
    found = (getattr(getattr(owner, method, None), "__globals__", {}) for method in shown)
    return all(names.get("__name__") in homes for names in found)
