"""Raise times: when higher rates are tried during a run, and what the run so far shows about the rest of it."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_tricks.core.durations import Duration, measure, parse_duration
from lightning_tricks.engine.lr.base_lr import apply_lr, current_lr, top_lr
from lightning_tricks.engine.lr.lr_product import product_of
from lightning_tricks.engine.lr.planned_factors import planned_factors
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.trial.loss_history import LossHistory
from lightning_tricks.engine.trial.lr_raise import LRRaise, Outlook, try_to_raise
from lightning_tricks.engine.trial.score_history import ScoreHistory
from lightning_tricks.engine.watch.metric_reader import MetricReader
from lightning_tricks.functional.lr_trials import is_on_plateau


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
        share, planned = share_done(trainer), trainer.estimated_stepping_batches
        left = None if math.isinf(planned) else max(1, round(planned * (1 - share)))
        factors = planned_factors(trainer, left)
        if not share or self._scores.time <= 0:
            return Outlook(on_plateau, 0.0, 0.0, factors.highest)
        coming = top_lr(trainer) * factors.mean * trainer.global_step * (1 - share) / share
        return Outlook(on_plateau, self._scores.exponent(), coming / self._scores.time, factors.highest)

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


def share_done(trainer: Trainer) -> float:
    """Return the share of the run that is over when an epoch starts; 0 if the run has no end.

    Under manual optimization Lightning counts the steps of all optimizers, but estimates those of one.
    """
    epochs, steps = trainer.max_epochs or 0, trainer.max_steps
    by_epochs = trainer.current_epoch / epochs if epochs > 0 else 0.0
    return min(1.0, max(by_epochs, trainer.global_step / steps if steps > 0 else 0.0))


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
