"""Run watch: collect the facts that run-time rules need, without waiting for the device in a step."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import (
    EvaluationFact,
    RunFacts,
    observe_evaluation,
    observe_losses,
    observe_step,
)
from lightning_tricks.engine.checkup.clip_settings import read_clip_settings
from lightning_tricks.engine.checkup.forward_watch import ForwardMeasurement, ForwardWatch
from lightning_tricks.engine.checkup.host_copy import to_host
from lightning_tricks.engine.checkup.loss_watch import KeptLosses, LossWatch, join_losses
from lightning_tricks.engine.checkup.nonfinite_rerun import NonfiniteRerun, join_found
from lightning_tricks.engine.checkup.step_watch import StepWatch, highest_rate, join_steps
from lightning_tricks.engine.checkup.unchanged_params_watch import UnchangedParamsWatch, join_unchanged
from lightning_tricks.engine.checkup.validation_facts import modules_in_training_mode, validation_loss
from lightning_tricks.engine.checkup.zero_grad_watch import ZeroGradWatch, join_kept

_Result = TypeVar("_Result")
_READ_EVERY, _HELD_AT_MOST = 50, 1000  # batches


class RunWatch:
    """The facts of a run's steps and evaluations.

    Losses, gradients and updates are kept on their device and read every ``log_every_n_steps`` batches, at each
    validation and at the end of an epoch. All processes read together and obtain the same facts.

    An exception in this class never reaches the run: it becomes a note, and the watch ends. At the next reading all
    processes are informed, so that none waits for another.

    Attributes:
        facts: the facts so far.
        batches: total number of batches.
        failures: exceptions of this class, as notes.
        ended: whether the watch has ended, on every process.
    """

    def __init__(self) -> None:
        self.facts = RunFacts()
        self.batches = 0
        self.failures = OwnFailures()
        self.ended = False
        self._failed = False
        self._since_reading = 0
        self._losses, self._steps, self._still = LossWatch(), StepWatch(), UnchangedParamsWatch()
        self._zeroing: ZeroGradWatch | None = None
        self._forward = ForwardWatch(partial(self._attempt, "follow a forward pass"))
        self._numbers = NonfiniteRerun()
        self._since_evaluation = (0.0, 0)
        self._training_modes: tuple[str, ...] | None = None

    def _attempt(self, what: str, action: Callable[..., _Result], *arguments: Any) -> _Result | None:
        """Return the result of an action; None after a failure on this process, now and later."""
        if self._failed:
            return None
        try:
            return action(*arguments)
        except Exception as error:  # as in OwnFailures.attempt; each call of a step counts
            self.failures.note(what, error)
            self._failed = True
            return None

    # -- in a step --------------------------------------------------------------------------------------------------

    def start_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """In the first epoch, record every trainable parameter."""
        if trainer.current_epoch == 0:
            self._attempt("record the parameters", lambda: self._still.start(trainer, pl_module))

    def start_steps(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record how gradients are clipped, before the first step, and watch whether they are zeroed manually."""
        clip = self._attempt("read how gradients are clipped", lambda: read_clip_settings(trainer))
        self.facts = replace(self.facts, clip=clip)
        if not pl_module.automatic_optimization and trainer.current_epoch == 0:
            self._zeroing = self._attempt("watch the gradients", lambda: self._watch_zeroing(trainer))

    def _watch_zeroing(self, trainer: Trainer) -> ZeroGradWatch:
        def attempt(action: Callable[[], None]) -> None:
            self._attempt("watch the gradients", action)

        return ZeroGradWatch(trainer.optimizers, attempt)

    def follows_next(self, trainer: Trainer) -> bool:
        """Return whether the forward pass of the coming batch is followed: that of one batch in each interval."""
        return self.batches % reading_distance(trainer) == 0

    def samples_next(self, trainer: Trainer, step: int) -> bool:
        """Return whether the coming batch, or the step with this number, is measured."""
        return self.follows_next(trainer) or self._steps.is_due(step)

    @property
    def awaits_backward(self) -> bool:
        """Whether the result of every batch is checked for NaN."""
        return not self._numbers.is_over

    def start_batch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the forward pass of the coming batch."""
        self._attempt("follow a forward pass", self._forward.start, trainer, pl_module)

    def before_backward(self, loss: Tensor) -> None:
        """Hold a loss until its backward pass has ended; the forward pass has ended."""
        if self._forward.is_active:
            self._attempt("keep a forward pass", self._forward.stop, loss)
        if not self._numbers.is_over:
            self._numbers.loss = loss

    def after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Examine a batch with a non-finite result again, if reading it requires no wait."""
        found = self._attempt("examine a batch again", self._numbers.after_backward, trainer, pl_module)
        if found is not None and self.facts.numerics is None:
            self.facts = replace(self.facts, numerics=found)

    def before_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the gradients of a step, if due."""
        if self._steps.is_due(trainer.global_step):
            every = reading_distance(trainer)
            self._attempt(
                "measure the gradients of a step", self._steps.before_step, trainer, pl_module, optimizer, every
            )

    def after_batch(self, trainer: Trainer, step: int, outputs: Any) -> bool:
        """Keep the loss of a batch, and return whether a reading is due, on every process after the same batch.

        Args:
            trainer: the Trainer.
            step: the number of steps so far.
            outputs: what Lightning returns for the batch.
        """
        self.batches += 1
        self._since_reading += 1
        if self._forward.is_active:
            self._attempt("keep a forward pass", self._forward.stop)
        self._attempt("keep a loss", self._losses.add, step, outputs)
        if self._steps.is_open:
            self._attempt("measure the update of a step", self._steps.after_batch)
        return self._since_reading >= reading_distance(trainer)

    def after_validation_batch(self, pl_module: LightningModule) -> None:
        """After the first batch of a validation, check the modes of the modules."""
        if self._training_modes is None:
            what = "check the modules during validation"
            self._training_modes = self._attempt(what, modules_in_training_mode, pl_module)

    # -- readings ---------------------------------------------------------------------------------------------------

    def read(self, trainer: Trainer) -> None:
        """Add the observations since the last reading to the facts."""
        self._since_reading = 0
        taken = self._attempt("read what was watched", lambda: self._take(trainer))
        if taken is not None and not self._ends(trainer):
            self._attempt("judge what was watched", lambda: self._join(trainer, *taken))
        elif taken is None:
            self._ends(trainer)

    def _take(self, trainer: Trainer) -> tuple[KeptLosses, list[Any], ForwardMeasurement, Tensor | None]:
        """Return what this process has kept, with one wait for its device; all that may fail on one process alone."""
        zeroing = None if self._zeroing is None else self._zeroing.take(trainer)
        losses, steps, forward = self._losses.take(trainer), self._steps.take_waiting(), self._forward.take()
        waiting = [losses.values, forward.numbers, *(step.numbers for step in steps)]
        values, forward.numbers, *numbers = to_host(waiting)
        if trainer.world_size == 1:  # several processes reduce them on the device
            losses = losses._replace(values=values)
        looks = [step.to_plain(number) for step, number in zip(steps, numbers, strict=True)]
        return losses, looks, forward, zeroing

    def _ends(self, trainer: Trainer) -> bool:
        """Return whether any process has failed, which ends the watch on all; every process must call this."""
        if trainer.world_size > 1:
            failed = torch.tensor(float(self._failed), device=trainer.strategy.root_device)
            anywhere: Any = trainer.strategy.reduce(failed, reduce_op="sum")
            self._failed = bool(anywhere)
        self.ended = self._failed
        return self.ended

    def _join(
        self, trainer: Trainer, taken: KeptLosses, looks: list[Any], forward: ForwardMeasurement, zeroing: Tensor | None
    ) -> None:
        facts = self.facts
        if trainer.world_size > 1:  # each process has its own batches
            forward = trainer.strategy.broadcast(forward)
        if forward.numbers.numel():
            facts = replace(facts, forward=forward.to_facts())
        losses, bad = join_losses(trainer, taken)
        finite = [loss for loss in losses if math.isfinite(loss)]
        total, count = self._since_evaluation
        self._since_evaluation = (total + math.fsum(finite), count + len(finite))
        if bad is not None and facts.first_bad_step is None:
            facts = replace(facts, first_bad_step=bad, numerics=facts.numerics or join_found(trainer, self._numbers))
        if losses and len(trainer.optimizers) == 1:
            facts = replace(facts, losses=observe_losses(facts.losses, finite, highest_rate(trainer.optimizers[0])))
        for step in join_steps(trainer, looks, max(losses, default=math.nan)):
            facts = replace(facts, steps=observe_step(facts.steps, step))
        if zeroing is not None:
            facts = replace(facts, not_zeroed=join_kept(trainer, zeroing))
        self.facts = facts

    def end_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read; record whether the first epoch took a step, and which parameters the first two have not changed."""
        self.read(trainer)
        if trainer.current_epoch == 0 and not self.ended:
            stood_still = self._attempt("look for steps", lambda: self._still.stood_still(trainer, pl_module))
            self.facts = replace(self.facts, idle_batches=self.batches if stood_still else 0)
        if trainer.current_epoch < 2 and not self.ended:
            taken = self._attempt("read the parameters", lambda: self._still.take(trainer, pl_module))
            if not self._ends(trainer) and taken:
                self._attempt("judge the parameters", lambda: self._note_unchanged(trainer, taken))
        self.release()

    def _note_unchanged(self, trainer: Trainer, taken: dict[str, Tensor]) -> None:
        """Record parameters without a gradient at once, the others (a recipe may freeze them) after epoch 2."""
        unchanged = set(join_unchanged(trainer, taken))
        is_first = trainer.current_epoch == 0
        known = set(self.facts.start.without_gradient) if is_first else unchanged
        found = dict.fromkeys([*self.facts.unchanged, *(name for name in taken if name in unchanged & known)])
        self.facts = replace(self.facts, unchanged=tuple(found))
        self._still.forget(but=unchanged - known if is_first else ())

    def end_validation(self, trainer: Trainer) -> None:
        """Read, and record the validation loss, if a metric with such a name is logged."""
        self.read(trainer)
        if self.ended:
            return
        loss = self._attempt("read the validation loss", validation_loss, trainer)
        if not self._ends(trainer) and loss is not None:
            self._attempt("judge the validation", lambda: self._note_validation(trainer, loss))

    def _note_validation(self, trainer: Trainer, loss: Tensor) -> None:
        modes, self._training_modes = self._training_modes or (), None
        if not self.facts.training_modes:
            modes = trainer.strategy.broadcast(modes) if trainer.world_size > 1 else modes
            self.facts = replace(self.facts, training_modes=modes)
        mean: Any = trainer.strategy.reduce(loss, reduce_op="mean")
        val, (total, count) = mean.tolist(), self._since_evaluation
        self._since_evaluation = (0.0, 0)
        if count and len(trainer.optimizers) == 1 and math.isfinite(val):
            evaluation = EvaluationFact(trainer.global_step, trainer.current_epoch, total / count, val)
            self.facts = replace(self.facts, evaluations=observe_evaluation(self.facts.evaluations, evaluation))

    def release(self) -> None:
        """Remove all hooks and references to parameters."""
        self._steps.release()
        self.failures.attempt("stop following a forward pass", self._forward.release, None)
        self._numbers.release()
        if self._zeroing is not None:
            self.failures.attempt("remove its hooks", self._zeroing.close, None)
            self._zeroing = None

    # -- state --------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the facts and the unread observations; synchronizes with the device."""
        return json.dumps(
            {
                "facts": to_plain(self.facts),
                "batches": self.batches,
                "losses": to_plain(self._losses.plain_state()),
                "steps": to_plain(self._steps.plain_state()),
                "still": self._still.plain_state(),
                "since_evaluation": self._since_evaluation,
            }
        )

    def load_json(self, text: str) -> None:
        """Load the result of :meth:`to_json`."""
        plain = json.loads(text)
        self.facts, self.batches = from_plain(RunFacts, plain["facts"]), plain["batches"]
        self._losses.load(plain["losses"])
        self._steps.load(plain["steps"])
        self._still.load(plain["still"])
        self._since_evaluation = tuple(plain["since_evaluation"])
        self._since_reading = len(self._losses)


def reading_distance(trainer: Trainer) -> int:
    """Return the number of batches, and steps, between readings."""
    asked: int = trainer.log_every_n_steps or _READ_EVERY  # type: ignore[attr-defined]
    return min(asked, _HELD_AT_MOST)
