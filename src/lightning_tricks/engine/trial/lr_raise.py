"""LR raise: compare the learning rate of a run with higher ones, by short trial trainings during the run."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.core.durations import Duration, measure, parse_duration
from lightning_tricks.engine.lr.base_lr import apply_lr, current_lr, rate_shares, top_lr
from lightning_tricks.engine.lr.lr_product import product_of
from lightning_tricks.engine.lr.planned_factors import planned_factors
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.trial.loss_history import LossHistory
from lightning_tricks.engine.trial.score_history import ScoreHistory
from lightning_tricks.engine.trial.trial_progress import progress_of
from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.engine.watch.metric_reader import MetricReader
from lightning_tricks.functional.lr_trials import (
    gain_of_speed,
    is_clearly_lower,
    is_hardly_higher,
    is_on_plateau,
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
    """

    on_plateau: bool
    exponent: float
    ahead: float


class LRRaises:
    """The times at which higher rates are tried, and what was found at those that have come.

    Args:
        times: Durations > 0, those of one unit increasing.
        monitor: the key of the validation loss.

    Attributes:
        found: the comparisons so far.

    Raises:
        TypeError, ValueError: a time is not a Duration > 0, not later than another one of its unit before it, or not
            earlier than the end of the run.
    """

    def __init__(self, times: Sequence[Duration], monitor: str) -> None:
        latest: dict[str, Fraction] = {}
        for time in times:
            amount, unit = parse_duration(time, "raise_at", positive=True)
            if unit in latest and amount <= latest[unit]:
                raise ValueError(
                    f"The times of `raise_at` must increase, got {time!r} after a time that is not earlier."
                )
            if unit == "dur" and amount >= 1:
                raise ValueError(f"The times of `raise_at` must be earlier than the end of the run, got {time!r}.")
            latest[unit] = amount
        self.found: list[LRRaise] = []
        self._losses = LossHistory()
        self._scores = ScoreHistory()
        self._reader = MetricReader("LRFinder", monitor, strict=False)
        self._times = tuple(times)
        self._passed = 0

    @property
    def are_over(self) -> bool:
        """Whether no time is left."""
        return self._passed == len(self._times)

    def note_loss(self, output: Any) -> None:
        """Keep the loss in the output of a batch of the run, as long as a time is left.

        Every process keeps its own; those of the first decide, and a checkpoint contains them.
        """
        if not self.are_over:
            self._losses.add(output)

    def start_validation(self, trainer: Trainer) -> None:
        """Note what was logged before, to recognize a validation loss that is new."""
        self._reader.start_validation(trainer)

    def end_validation(self, trainer: Trainer) -> None:
        """Keep the validation loss, averaged over the processes, as long as a time is left."""
        reading = None if self.are_over else self._reader.read(trainer)
        if reading is not None and reading.is_new:
            self._scores.advance(trainer.global_step, current_lr(trainer))
            self._scores.add(reading.value)

    def are_due(self, run: Run) -> bool:
        """Return whether a time has come, or has gone by, when an epoch starts.

        Lightning reports no start of an epoch that follows a checkpoint of the last batch of the epoch before it.
        """
        if self.are_over:
            self._forget()
            return False
        self._scores.advance(run.trainer.global_step, current_lr(run.trainer))
        before, left = self._passed, self._times[self._passed :]
        self._passed += next((place for place, time in enumerate(left) if not is_due(time, run)), len(left))
        return self._passed > before

    def act(self, trainer: Trainer, pl_module: LightningModule, most_steps: int) -> LRRaise | None:
        """Raise the rate if a higher one trains better; where a rate is refused, this was the last time.

        Nothing is tried while a plateau rule or another callback reduces the rate: a new base resets the reduction, so
        the rate would rise by more than was tried.
        """
        outlook = self._outlook(trainer)
        if self.are_over:
            self._forget()
        product = product_of(trainer)
        if product is not None and product.learned_factor() != 1.0:
            return None
        raised = try_to_raise(trainer, pl_module, most_steps, outlook)
        if raised is not None:
            self.found.append(raised)
            if raised.after != raised.before:
                apply_lr(trainer, raised.after)
        if raised is None or not raised.goes_on:
            self._passed = len(self._times)
            self._forget()
        return raised

    def _outlook(self, trainer: Trainer) -> Outlook:
        on_plateau = bool(trainer.strategy.broadcast(is_on_plateau(self._losses.means())))
        share = share_done(trainer)
        if not share or self._scores.time <= 0:
            return Outlook(on_plateau, 0.0, 0.0)
        coming = top_lr(trainer) * planned_factors(trainer, _steps_left(trainer)).mean
        ahead = coming * trainer.global_step * (1 - share) / share / self._scores.time
        return Outlook(on_plateau, self._scores.exponent(), ahead)

    def _forget(self) -> None:
        self._losses.clear()
        self._scores.clear()

    def plain_state(self) -> dict[str, Any]:
        """Return the state that must survive a restart, as plain values."""
        found = [{**each._asdict(), "trials": [list(trial) for trial in each.trials]} for each in self.found]
        histories = {"losses": self._losses.plain_state(), "scores": self._scores.plain_state()}
        return {"passed": self._passed, "found": found, **histories}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from such a state."""
        self._passed = state["passed"]
        self.found.clear()
        for each in state["found"]:
            self.found.append(LRRaise(**{**each, "trials": [(lr, loss) for lr, loss in each["trials"]]}))
        self._losses.load(state["losses"])
        self._scores.load(state["scores"])


def is_due(time: Duration, run: Run) -> bool:
    """Return whether the epoch that starts now is the one whose start is nearest to a time, or a later one.

    The first epoch never is: what a rate is worth is visible only when the initial fall of the loss is over.

    Raises:
        ValueError: the time is a share of a run of unknown length.
    """
    amount, unit = measure(parse_duration(time), run.clock.length, "raise_at")
    epoch, step = run.trainer.current_epoch, run.trainer.global_step
    now, length = (epoch, 1) if unit == "ep" else (step, run.clock.steps_per_epoch or 0)
    return bool(epoch > 0 and now + length / 2 > amount)


def share_done(trainer: Trainer) -> float:
    """Return the share of the run that is over when an epoch starts; 0 if the run has no end.

    Under manual optimization Lightning counts the steps of all optimizers, but estimates those of one.
    """
    epochs, steps = trainer.max_epochs or 0, trainer.max_steps
    by_epochs = trainer.current_epoch / epochs if epochs > 0 else 0.0
    return min(1.0, max(by_epochs, trainer.global_step / steps if steps > 0 else 0.0))


def _steps_left(trainer: Trainer) -> int | None:
    planned = trainer.estimated_stepping_batches
    return None if math.isinf(planned) else max(1, round(planned * (1 - share_done(trainer))))


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
    highest = planned_factors(trainer, _steps_left(trainer)).highest
    try:
        with TrialRun(trainer, pl_module, rate_shares(trainer), first=False) as run:
            trials, best = _compare(run, base * highest, steps, outlook)
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
