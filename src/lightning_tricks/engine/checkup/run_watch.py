"""Run watch: all that the doctor's run-time rules ask about, put together without a wait in a step."""

import json
import math
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import (
    EvaluationFact,
    RunFacts,
    observe_evaluation,
    observe_losses,
    observe_step,
)
from lightning_tricks.engine.checkup.clip_settings import read_clip_settings
from lightning_tricks.engine.checkup.loss_watch import LossWatch
from lightning_tricks.engine.checkup.step_watch import StepWatch, highest_rate
from lightning_tricks.engine.checkup.unchanged_params_watch import UnchangedParamsWatch
from lightning_tricks.engine.checkup.zero_grad_watch import ZeroGradWatch

_READ_EVERY, _HELD_AT_MOST = 50, 1000  # batches
_VAL_LOSSES = frozenset(
    f"{part}{mark}loss" for part in ("val", "valid", "validation", "eval", "dev") for mark in ("_", "/", ".", "-")
)


class RunWatch:
    """What a run's steps and evaluations show.

    Losses, gradients and updates are kept as they come, on their device, and read every ``log_every_n_steps`` batches,
    at a validation and at the end of an epoch. All processes read together, and come to the same facts.

    Attributes:
        facts: what was read so far.
        batches: how many batches were seen, in all.
    """

    def __init__(self) -> None:
        self.facts = RunFacts()
        self.batches = 0
        self._losses, self._steps, self._still = LossWatch(), StepWatch(), UnchangedParamsWatch()
        self._zeroing: ZeroGradWatch | None = None
        self._since_evaluation = (0.0, 0)
        self._training_modes: tuple[str, ...] | None = None

    # -- in a step --------------------------------------------------------------------------------------------------

    def start_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """In the first epoch, note what every trainable parameter is."""
        if trainer.current_epoch == 0:
            self._still.start(trainer, pl_module)

    def start_steps(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note, before the run's own first step, how gradients are clipped; watch whether they are zeroed by hand."""
        self.facts = replace(self.facts, clip=read_clip_settings(trainer))
        if not pl_module.automatic_optimization and trainer.current_epoch == 0:
            self._zeroing = ZeroGradWatch(trainer.optimizers)

    def before_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Look at the gradients of a step, if it is time to."""
        self._steps.before_step(trainer, pl_module, optimizer, reading_distance(trainer))

    def after_batch(self, trainer: Trainer, pl_module: LightningModule, outputs: Any) -> bool:
        """Keep a batch's loss, and say whether it is time to read."""
        self.batches += 1
        self._losses.see(trainer, pl_module, outputs)
        self._steps.after_batch()
        return len(self._losses) >= reading_distance(trainer)

    def after_validation_batch(self, pl_module: LightningModule) -> None:
        """After the first batch of a validation, see whether the modules are in the mode for it."""
        if self._training_modes is None:
            self._training_modes = tuple(name for name, module in pl_module.named_modules() if _trains(module))

    # -- readings ---------------------------------------------------------------------------------------------------

    def read(self, trainer: Trainer) -> None:
        """Add to the facts what was seen since the last time."""
        facts = self.facts
        losses, bad = self._losses.read(trainer)
        finite = [loss for loss in losses if math.isfinite(loss)]
        total, count = self._since_evaluation
        self._since_evaluation = (total + math.fsum(finite), count + len(finite))
        if bad is not None and facts.first_bad_step is None:
            facts = replace(facts, first_bad_step=bad)
        if losses and len(trainer.optimizers) == 1:
            facts = replace(facts, losses=observe_losses(facts.losses, finite, highest_rate(trainer.optimizers[0])))
        for step in self._steps.read(trainer, max(losses, default=math.nan)):
            facts = replace(facts, steps=observe_step(facts.steps, step))
        if self._zeroing is not None:
            facts = replace(facts, not_zeroed=self._zeroing.kept(trainer))
        self.facts = facts

    def end_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read, and at the end of the first epoch say what it has left as it was."""
        self.read(trainer)
        if trainer.current_epoch == 0:
            self.facts = replace(self.facts, unchanged=self._still.unchanged(trainer, pl_module))
        self.let_go()

    def end_validation(self, trainer: Trainer) -> None:
        """Read, and note the validation loss, if one is logged under a name that says so."""
        self.read(trainer)
        modes, self._training_modes = self._training_modes or (), None
        if not self.facts.training_modes:
            modes = trainer.strategy.broadcast(modes) if trainer.world_size > 1 else modes
            self.facts = replace(self.facts, training_modes=modes)
        val, (total, count) = _validation_loss(trainer), self._since_evaluation
        self._since_evaluation = (0.0, 0)
        if count and len(trainer.optimizers) == 1 and math.isfinite(val):
            evaluation = EvaluationFact(trainer.global_step, trainer.current_epoch, total / count, val)
            self.facts = replace(self.facts, evaluations=observe_evaluation(self.facts.evaluations, evaluation))

    def let_go(self) -> None:
        """Leave nothing behind on the parameters, and hold none of them."""
        self._steps.let_go()
        if self._zeroing is not None:
            self._zeroing.close()
            self._zeroing = None

    # -- the state --------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return what was read and what is still to be; this process waits for its device."""
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
        """Go on with what :meth:`to_json` returned."""
        plain = json.loads(text)
        self.facts, self.batches = from_plain(RunFacts, plain["facts"]), plain["batches"]
        self._losses.load(plain["losses"])
        self._steps.load(plain["steps"])
        self._still.load(plain["still"])
        self._since_evaluation = tuple(plain["since_evaluation"])


def reading_distance(trainer: Trainer) -> int:
    """Return after how many batches, and steps, there is a reading."""
    asked: int = trainer.log_every_n_steps or _READ_EVERY  # type: ignore[attr-defined]
    return min(asked, _HELD_AT_MOST)


def _trains(module: nn.Module) -> bool:
    """Say whether what a module does to a validation batch is what it does in training alone."""
    is_active = isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
    return is_active and module.training


def _validation_loss(trainer: Trainer) -> float:
    """Return the mean over the processes of the one metric whose name says validation loss; NaN without one."""
    found: list[Tensor] = [value for name, value in trainer.callback_metrics.items() if name.lower() in _VAL_LOSSES]
    value = found[0].detach().float().mean() if len(found) == 1 else torch.tensor(math.nan)
    everywhere: Any = trainer.strategy.reduce(value.to(trainer.strategy.root_device), reduce_op="mean")
    number: float = everywhere.tolist()
    return number
