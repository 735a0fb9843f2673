"""Clock: the time of a run, read from the Trainer's own progress and moved once per event for all tricks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning
from lightning.pytorch import Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from packaging.version import Version
from torch.optim import Optimizer

from lightning_tricks.core.durations import Moment, RunLength


@dataclass
class ClockState:
    """State that the Trainer's progress does not contain; every trick saves it.

    Attributes:
        optimizer_steps: under manual optimization, the number of steps of each optimizer.
        batches_per_epoch: number of batches in the last full epoch, for loaders without a length.
    """

    optimizer_steps: list[int] = field(default_factory=list)
    batches_per_epoch: int | None = None


class Clock:
    """The time of the next optimizer step.

    Args:
        trainer: a fitting Trainer.
        is_manual: whether the module optimizes manually.

    Attributes:
        is_manual: whether the module optimizes manually.
        state: the state that must survive a restart.
        moment: the time before the next optimizer step; its ``step`` counts the steps of all optimizers together.
        length: the bounds of the run; if both epochs and steps bound it, only the one reached first.
    """

    def __init__(self, trainer: Trainer, is_manual: bool) -> None:
        self._trainer = trainer
        self.is_manual = is_manual
        self.state = ClockState()
        self.moment = Moment(0, 0, None, 0)
        self.length = RunLength(None, None)
        self._position: tuple[object, ...] | None = None
        self._measured_at: tuple[int, int] | None = None
        self._parts: int | None = None
        self._batches_ahead = 0
        self._coming_batch: int | None = None
        self._counted_at: int | None = None

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps per epoch (batches under manual optimization).

        ``None`` for a loader without a length before its first end, and before the training loader is set up.
        """
        batches = self._trainer.num_training_batches
        if math.isinf(batches):
            if self.state.batches_per_epoch is None:
                return None
            batches = self.state.batches_per_epoch
        return math.ceil(batches / self._trainer.accumulate_grad_batches)

    def moment_of(self, optimizer: int) -> Moment:
        """Return the time before the next step of the optimizer with this index, counted in its own steps."""
        if not self.is_manual or optimizer >= len(self.state.optimizer_steps):
            return self.moment
        return self.moment._replace(step=self.state.optimizer_steps[optimizer])

    def start(self, loaded: ClockState | None) -> None:
        """Start in ``on_train_start``, when the checkpoint has been loaded.

        Args:
            loaded: the state from a checkpoint.
        """
        trainer = self._trainer
        if loaded is not None:
            self.state = ClockState(list(loaded.optimizer_steps), loaded.batches_per_epoch)
        count = len(trainer.optimizers)
        if self.is_manual and not self.state.optimizer_steps:
            self.state.optimizer_steps = [trainer.global_step // max(count, 1)] * count
        self.length = self._measure_run()
        batches, self._batches_ahead = _resumed_batches(trainer)
        _warn_if_a_batch_is_repeated(batches)
        self._move(trainer.current_epoch, batches)

    def _measure_run(self) -> RunLength:
        trainer = self._trainer
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else None
        steps = trainer.max_steps if trainer.max_steps >= 0 else None
        if epochs is not None and steps is not None:
            per_epoch = self.steps_per_epoch
            if per_epoch is not None and steps < epochs * per_epoch:
                epochs = None
            else:
                steps = None
        return RunLength(epochs, steps)

    def length_of(self, num_optimizers: int) -> RunLength:
        """Return the bounds of the run on each optimizer's own clock.

        Under manual optimization, ``max_steps`` counts the steps of all optimizers together, but a schedule counts
        those of its optimizer.
        """
        if self.is_manual and self.length.epochs is None and num_optimizers > 1:
            return RunLength(None, None)
        return self.length

    def start_epoch(self) -> bool:
        """Move to the first step of an epoch; return whether the time moved."""
        return not self._trainer.fit_loop.restarting and self._move(self._trainer.current_epoch, 0)

    def before_batch(self, batch_idx: int) -> bool:
        """Move to the step of the coming batch; return whether the time moved."""
        if batch_idx == self._coming_batch:  # the clock already moved after the previous batch
            return False
        return self._move(self._trainer.current_epoch, batch_idx - self._batches_ahead)

    def after_batch(self, batch_idx: int) -> bool:
        """Move to the step after a batch; return whether the time moved."""
        batches = batch_idx + 1 - self._batches_ahead
        self._coming_batch = batch_idx + 1
        if self.epoch_is_over(batches):
            self.state.batches_per_epoch, self._batches_ahead, self._coming_batch = batches, 0, None
            return self._move(self._trainer.current_epoch + 1, 0)
        return self._move(self._trainer.current_epoch, batches)

    def end_epoch(self) -> bool:
        """Move to the first step of the next epoch, also if the module skipped the rest of this epoch."""
        return self._trainer.is_last_batch and self._move(self._trainer.current_epoch + 1, 0)

    def count_step(self, optimizer: Optimizer, optimizers: Sequence[Optimizer]) -> int | None:
        """Under manual optimization, count the coming step of one optimizer.

        An optimizer that evaluates its closure several times calls this as often before the Trainer counts one step.

        Returns:
            The optimizer's index; ``None`` if the step was already counted or is not counted by the clock.
        """
        if not self.is_manual or self._trainer.global_step == self._counted_at:
            return None
        self._counted_at = self._trainer.global_step
        return next((i for i, known in enumerate(optimizers) if known is optimizer), None)

    def epoch_is_over(self, batches_done: int) -> bool:
        """Return, after a batch, whether it was the last of its epoch."""
        return self._trainer.is_last_batch or batches_done >= self._trainer.num_training_batches

    def _move(self, epoch: int, batches: int) -> bool:
        accumulation = self._trainer.accumulate_grad_batches
        part, step = batches // accumulation, self._trainer.global_step
        position = (epoch, part, *self.state.optimizer_steps) if self.is_manual else (epoch, part, step)
        if position == self._position:
            return False
        self._position = position
        if (epoch, accumulation) != self._measured_at:  # the length may differ between epochs
            self._measured_at, self._parts = (epoch, accumulation), self.steps_per_epoch
        self.moment = Moment(epoch, part, self._parts, step)
        return True


def _resumed_batches(trainer: Any) -> tuple[int, int]:
    """Return the number of batches of the current epoch that a resumed run has already processed.

    A checkpoint from the end of an epoch resumes with the batches of that epoch still counted; the next epoch has none.

    Returns:
        The number, and the offset of the batch index in the coming epoch: for a loader without a length, Lightning does
        not know that the epoch was complete and continues counting from its last batch.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    done = progress.current.ready
    if not trainer.fit_loop.restarting or done >= trainer.num_training_batches:
        return 0, 0
    return (0, done) if progress.is_last_batch else (done, 0)


def _warn_if_a_batch_is_repeated(batches: int) -> None:
    if batches and Version(lightning.__version__) < Version("2.5"):
        rank_zero_warn(
            f"Lightning {lightning.__version__} repeats a batch when it resumes inside an epoch, so this run will "
            f"differ from an uninterrupted one. Upgrade to lightning 2.5, or resume from the end of an epoch."
        )
