"""LR raise: compare the learning rate of a run with higher ones, by short trial trainings during the run."""

import math
from typing import Any, NamedTuple

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.engine.lr.base_lr import rate_shares, top_lr
from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.functional.lr_trials import (
    gain_of_speed,
    is_clearly_lower,
    is_hardly_higher,
    is_paid_for,
    late_loss,
)

_FACTORS = (1.0, 2.0, 4.0)
_SHARE = 40  # of the run; its fortieth part is one trial
_SHORTEST = 5  # steps of a trial


class LRRaise(NamedTuple):
    """A comparison of rates during a run.

    Attributes:
        step: optimizer steps taken before it.
        before: the base rate until then.
        after: the base rate from then on.
        trials: the rates that were tried, and the training loss that each reached.
        on_plateau: whether the training loss had almost stopped falling.
        exponent: the exponent of the power law along which the validation loss fell; 0 if it did not, or is not known.
    """

    step: int
    before: float
    after: float
    trials: list[tuple[float, float]]
    on_plateau: bool = False
    exponent: float = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether the highest rate that was tried was kept, so that the best one may be higher still."""
        tried = [rate for rate, _ in self.trials]
        return math.isclose(self.after / self.before, tried[-1] / tried[0])

    def __str__(self) -> str:
        tried = ", ".join(f"{loss:.4g} at {rate:.3g}" for rate, loss in self.trials)
        change = "stays at" if self.after == self.before else f"is raised from {self.before:.3g} to"
        why = "the training loss is on a plateau, and that" if self.on_plateau else "the training loss"
        falls = f", and the validation loss falls as t^-{self.exponent:.2g}" if self.exponent else ""
        times = "" if math.isclose(self.trials[0][0], self.before) else ", with the schedule's factor,"
        return f"the learning rate {change} {self.after:.3g}: {why} of short trials{times} is {tried}{falls}"


class Outlook(NamedTuple):
    """What the run so far shows about the rest of it.

    Attributes:
        on_plateau: whether the training loss has almost stopped falling.
        exponent: the exponent of the power law along which the validation loss falls.
        ahead: the sum of the rates of all steps to come, divided by that of the steps so far.
        highest: the largest factor by which schedules will multiply the rate.
    """

    on_plateau: bool
    exponent: float
    ahead: float
    highest: float


def try_to_raise(trainer: Trainer, pl_module: LightningModule, most_steps: int, outlook: Outlook) -> LRRaise | None:
    """Train for a few steps at the highest rate to come, at twice and at four times this rate, and undo the steps.

    Trials start from the same weights and read the same batches; four times the rate is tried only if twice the rate is
    better. A short trial favors low rates (Wu et al. 2018): it pays the price of a higher rate, the noise of its steps,
    in full, but has only a fraction of the run to gain from its speed. A rate is better than the one before it if

    - its training loss in the second half of the trial is lower even so, by two standard errors of the differences, or
    - it is higher by less than what speed still gains: a validation loss that falls as a power of the training time, in
      steps weighted with their rates, falls sooner (:func:`~lightning_tricks.functional.lr_trials.gain_of_speed`), or
    - the run is on a plateau, which a higher rate often leaves, though only after more steps than a trial has, and its
      loss is hardly higher than at the present rate.

    Args:
        trainer: a fitting Trainer, at the start of an epoch.
        pl_module: its module.
        most_steps: upper limit for the optimizer steps of a trial, whose length is a fortieth of the run.
        outlook: what the run so far shows about the rest of it.

    Returns:
        The comparison; ``None`` if a trial failed, which costs a warning and not the training.

    Raises:
        Exception: on several processes, an error inside a step.

    References:
        Wu, Ren, Liao & Grosse, Understanding short-horizon bias in stochastic meta-optimization, 2018.
    """
    base, planned = top_lr(trainer), trainer.estimated_stepping_batches
    steps = most_steps if math.isinf(planned) else min(most_steps, max(_SHORTEST, round(planned / _SHARE)))
    try:
        with TrialRun(trainer, pl_module, rate_shares(trainer), first=False) as run:
            trials, best = _compare(run, base * outlook.highest, steps, outlook)
    except Exception as error:
        if trainer.world_size > 1 and not isinstance(error, MisconfigurationException):
            raise  # other processes may be waiting inside a step
        reason = f"{type(error).__name__}: {error}"
        rank_zero_warn(f"LRFinder could not try higher learning rates, and the rate stays at {base:.3g}. {reason}")
        return None
    return LRRaise(trainer.global_step, base, base * _FACTORS[best], trials, outlook.on_plateau, outlook.exponent)


def _compare(run: TrialRun, lr: float, steps: int, outlook: Outlook) -> tuple[list[tuple[float, float]], int]:
    """Return the rates that were tried with their losses, and the place of the best."""
    tried: list[list[float]] = []
    best = 0
    with progress_of(run.trainer, "LR finder: trying higher rates", len(_FACTORS)) as show:
        for place, factor in enumerate(_FACTORS):
            if place:
                run.rewind()
            tried.append(_losses_at(run, factor * lr, steps))
            show(len(tried))
            if place and not _is_better(tried, best, outlook):
                break
            best = place
    return [(factor * lr, late_loss(losses)) for factor, losses in zip(_FACTORS, tried, strict=False)], best


def _is_better(tried: list[list[float]], best: int, outlook: Outlook) -> bool:
    """Return whether the last rate that was tried is better for the rest of the run than the best one before it."""
    losses, place = tried[-1], len(tried) - 1
    share = gain_of_speed(outlook.exponent, outlook.ahead, _FACTORS[place], _FACTORS[best])
    return (
        is_clearly_lower(losses, tried[best])
        or (outlook.on_plateau and is_hardly_higher(losses, tried[0]))
        or is_paid_for(losses, tried[best], late_loss(tried[0]) * share)
    )


def _losses_at(run: TrialRun, lr: float, steps: int) -> list[float]:
    """Return the losses of the steps at a rate; none if training breaks off at a loss that is not finite."""
    losses: list[Any] = []
    try:
        losses.extend(run.step(lr) for _ in range(steps))
    except Exception:
        if not run.has_broken():
            raise
        return []
    known = [loss for loss in losses if loss is not None]
    return run.read(known) if known else []
