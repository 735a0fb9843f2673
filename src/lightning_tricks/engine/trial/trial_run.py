"""Trial run: take training steps with the Trainer's own strategy, and then undo them."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.core.step_output import returned_loss
from lightning_tricks.engine.run.lightning_internals import rebuild_ddp_wrapper, step_arguments
from lightning_tricks.engine.trial.run_snapshot import RunSnapshot
from lightning_tricks.engine.trial.trial_batches import TrialBatches
from lightning_tricks.engine.trial.trial_step import TrialStep, alters_steps

_PATIENCE = 100


class _SilentProfiler(PassThroughProfiler):
    """A profiler that records nothing, because a trial is not part of the run's profile."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing


class TrialRun:
    """A context in which steps can be taken at any learning rate; leaving it in any way restores the run.

    Callbacks that change a step (clipping) act; other callbacks, loggers and logged values are disabled. The batches
    come from a separate, cyclic pass over the training loader (:class:`TrialBatches`).

    Args:
        trainer: a fitting Trainer, between two steps.
        pl_module: its module.
        shares: the learning rates relative to the largest, by optimizer and group.
        first: whether the run has not taken a step in this process yet.
        validates: whether validation batches will also be read.
    """

    def __init__(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        shares: Sequence[Sequence[float]],
        first: bool,
        validates: bool = False,
    ) -> None:
        self.trainer: Any = trainer
        self.module: Any = pl_module
        self.shares = shares
        self._first, self._validates = first, validates
        self._batch_size: int | None = None
        self._arguments: int | None = None
        if "dataloader_iter" in inspect.signature(pl_module.training_step).parameters:
            raise MisconfigurationException(
                f"`{type(pl_module).__name__}.training_step` takes `dataloader_iter` and fetches its own batches, so "
                f"they cannot be restored after a trial. Take `batch`, or set the learning rate manually."
            )

    def __enter__(self) -> "TrialRun":
        trainer, module = self.trainer, self.module
        self._before = (trainer.callbacks, trainer.loggers, trainer.profiler, trainer.should_stop)
        self._callbacks = [cb for cb in trainer.callbacks if alters_steps(cb)]
        self._snapshot = RunSnapshot(trainer, module, self._callbacks, self._validates)
        self._batches: TrialBatches | None = None
        try:
            bar = [cb for cb in trainer.callbacks if cb is trainer.progress_bar_callback]  # its thread accesses it
            trainer.callbacks = [*self._callbacks, *(cb for cb in bar if cb not in self._callbacks)]
            trainer.loggers = [DummyLogger() for _ in trainer.loggers]
            trainer.profiler = _SilentProfiler()
            self._prepare()
        except BaseException:
            self._undo()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo()

    def rewind(self, batch_size: int | None = None) -> None:
        """Go back to the state and the first row of the beginning, from there on with batches of so many rows."""
        self._batch_size = batch_size
        self._end_batches()
        self._snapshot.restore_()
        self._prepare()

    def _prepare(self) -> None:
        """Prepare the module for steps without logging."""
        self._losses: list[Tensor] = []
        self._last: list[Tensor] = []
        self._steps_taken = 0
        backward = self.module.manual_backward

        def silent(*_: object, **__: object) -> None: ...

        def manual_backward(loss: Tensor, *args: Any, **kwargs: Any) -> None:
            self._losses.append(loss.detach())
            backward(loss, *args, **kwargs)

        vars(self.module).update(log=silent, log_dict=silent)
        if not self.module.automatic_optimization:
            vars(self.module).update(manual_backward=manual_backward)
            for optimizer in self.trainer.optimizers:
                optimizer.register_step_post_hook(self._count_step)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):  # the run's own tensor is not changed
                    group["lr"] = group["lr"].clone()
        self._batches = TrialBatches(self.trainer, self.module, self._callbacks, self._batch_size)
        self.module.on_train_epoch_start()
        self._automatic = TrialStep(self.trainer, self.module, self._callbacks)

    def _end_batches(self) -> None:
        if self._batches is not None:
            self._batches.close()

    def _count_step(self, *_: object) -> None:
        self._steps_taken += 1

    def _undo(self) -> None:
        trainer = self.trainer
        trainer.callbacks, trainer.loggers, trainer.profiler, trainer.should_stop = self._before
        self._end_batches()
        if self._first:  # DDP orders its buckets by the first backward pass, which affects how gradients are summed
            rebuild_ddp_wrapper(trainer)
        self._snapshot.restore_()

    def step(self, lr: float) -> Tensor | None:
        """Take one optimizer step.

        Args:
            lr: the rate of the group with the largest rate.

        Returns:
            The loss of this process before the step, on its device; ``None`` if the module returned none.
        """
        self._losses = []
        for optimizer, shares in zip(self.trainer.optimizers, self.shares, strict=True):
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(lr * share)
                else:
                    group["lr"] = lr * share
        try:
            if self.module.automatic_optimization:
                self._step_automatically()
            else:
                self._step_manually()
        finally:
            self._last = self._losses or self._last
        if not self._losses:
            return None
        if len(self._losses) == 1:
            return self._losses[0].float().mean() if self._losses[0].ndim else self._losses[0].float()
        return stack_tensors([loss.float().mean() for loss in self._losses]).mean()

    def _step_automatically(self) -> None:
        strategy, count = self.trainer.strategy, self.trainer.accumulate_grad_batches
        for part in range(count):
            batch, batch_idx = self._next_batch()
            closure = self._closure(batch, batch_idx, part)
            if part + 1 < count:
                with getattr(strategy, "block_backward_sync", nullcontext)():
                    closure()
            else:
                self._automatic.update(batch_idx, closure)
            self.module.on_train_batch_end({}, batch, batch_idx)

    def _closure(self, batch: Any, batch_idx: int, part: int) -> Callable[[], Tensor | None]:
        """Return the equivalent of Lightning's closure, without its counters."""
        step, count = self._automatic, self.trainer.accumulate_grad_batches
        evaluated = False

        def closure() -> Tensor | None:
            nonlocal evaluated
            with torch.enable_grad():
                loss = self._training_step(batch, batch_idx)
                if part == 0:
                    step.zero_grad(batch_idx)
                if loss is None:
                    return None
                if not loss.requires_grad:
                    raise RuntimeError(
                        f"`{type(self.module).__name__}.training_step` returns a loss without a gradient, so no "
                        f"learning rate can change it. Return the loss itself, not a detached copy, and leave at least "
                        f"one parameter trainable."
                    )
                if not evaluated:  # LBFGS evaluates it several times per step
                    self._losses.append(loss.detach())
                    evaluated = True
                step.backward(loss / count if count > 1 else loss)
                return loss.detach()

        return closure

    def _step_manually(self) -> None:
        """Run batches until an optimizer has taken a step."""
        steps, returned = self._steps_taken, []
        for _ in range(_PATIENCE):
            batch, batch_idx = self._next_batch()
            loss = self._training_step(batch, batch_idx)
            if loss is not None:
                returned.append(loss.detach())
            self.module.on_train_batch_end({}, batch, batch_idx)
            if self._steps_taken > steps:
                self._losses = returned or self._losses
                return
        raise RuntimeError(
            f"No optimizer took a step in {_PATIENCE} batches of `{type(self.module).__name__}.training_step`, which "
            f"uses manual optimization. Call `self.optimizers().step()`."
        )

    def _next_batch(self) -> tuple[Any, int]:
        assert self._batches is not None
        return next(self._batches)

    def _training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        if self._arguments is None:
            self._arguments = step_arguments(self.trainer, batch, batch_idx)
        output = self.trainer.strategy.training_step(*(batch, batch_idx)[: self._arguments])
        return returned_loss(output)

    def look_ahead(self) -> None:
        """Run forward and backward on one batch, without a step and without an exchange between processes.

        Under manual optimization nothing is done: the module exchanges and steps as it likes.
        """
        if self.module.automatic_optimization:
            batch, batch_idx = self._next_batch()
            with getattr(self.trainer.strategy, "block_backward_sync", nullcontext)():
                self._closure(batch, batch_idx, part=0)()

    @property
    def rows_read(self) -> int:
        """Rows of this process since the last rewind to a batch size."""
        return self._batches.rows if self._batches is not None else 0

    def has_broken(self) -> bool:
        """Return whether this process's last loss is not finite, which explains a subsequent error."""
        return bool(self._last) and not all(bool(loss.isfinite().all()) for loss in self._last)

    def read(self, losses: Sequence[Tensor]) -> list[float]:
        """Return losses as numbers, averaged over the processes; synchronizes once with the device."""
        mean: Tensor = self.trainer.strategy.reduce(torch.stack(list(losses)), reduce_op="mean")
        found: list[float] = mean.tolist()
        return found
