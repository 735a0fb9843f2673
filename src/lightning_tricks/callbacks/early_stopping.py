"""Early stopping: end a run that no longer improves, and restore its best weights."""

import math
from dataclasses import replace
from typing import Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core import rank_zero

from lightning_tricks.core.arguments import check_choice, check_count, check_flag, check_number, check_text
from lightning_tricks.core.durations import Duration, measure, parse_duration
from lightning_tricks.engine.run.combinations import pace_of
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.watch.metric_reader import Reading
from lightning_tricks.engine.watch.metric_watcher import MetricWatcher
from lightning_tricks.engine.watch.monitor_conflicts import waits_for_cuts
from lightning_tricks.engine.watch.watch_plan import plan_rule
from lightning_tricks.functional.plateau import as_precise, observe
from lightning_tricks.functional.run_plan import Fact
from lightning_tricks.functional.thaw_times import run_end


class EarlyStopping(MetricWatcher):
    """Stop after n checks without a better score, and restore the best weights.

    Use when: training longer overfits, or a run of unknown length should end automatically. A replacement for
    Lightning's callback: every argument of that callback has the same meaning here.

    Where it acts: checks in ``on_validation_end`` if validation logs the metric, else after the module's own
    ``on_train_epoch_end``. The score is averaged over all ranks first. The weights are restored after the
    ``on_train_end`` of all callbacks, before the module's own; on Ctrl-C after all ``on_exception``.

    Interacts with: ``min_epochs`` and ``min_steps``: a run that improves again before they are reached continues.
    Weight averaging: the best weights are those that validation evaluated, even if another callback had swapped them
    in; from the first such validation on, they are copied on the device during each validation. If a callback writes an
    average at the end of training that no validation has evaluated (``StochasticWeightAveraging`` without batch norm),
    it is kept, with a warning. If parameters are added, removed or reshaped after the best check, the final weights are
    kept, with a warning. Checkpoints written during fit contain the training weights and, in addition, the best weights
    (``restore_best=False`` avoids this). ``ReduceLROnPlateau`` with the same monitor and ``patience``: each reduction
    resets the count of this callback, so that it stops only when no reduction is left; a ``patience`` several times
    longer is not reset. After a resume in the middle of an epoch, the mean of a training metric covers only the batches
    since then, because Lightning does not save metrics. Untested under DeepSpeed.

    Args:
        monitor: key of a logged metric.
        min_delta: a new best must be better by more than this, >= 0; NaN never is.
        patience: consecutive checks without a new best after which the run ends, >= 1; typically 3 to 20 (Prechelt
            1998).
        verbose: log when the score improves and why the run stops.
        mode: whether a lower (``"min"``) or a higher (``"max"``) score is better.
        strict: raise if the metric is not logged; False: warn once.
        check_finite: stop at once if the score is NaN or infinite.
        stopping_threshold: stop at once if the score is better than this.
        divergence_threshold: stop at once if the score is worse than this.
        check_on_train_epoch_end: True: check at the end of each training epoch; False: at the end of each validation;
            ``None``: after validation if it logs the metric, otherwise at the end of the epoch.
        log_rank_zero_only: only rank 0 logs the messages of ``verbose``.
        restore_best: restore the weights and buffers of the best check when training ends, for any reason.
        start_after: ignore earlier checks, a Duration; a check at exactly that time counts.

    Attributes:
        best_score: the best score so far.
        wait_count: consecutive checks without a new best.
        stopped_epoch: the epoch in which the run was stopped; 0 if it was not.
        stopping_reason_message: the reason for the stop; ``None`` if the run was not stopped.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at fit start, another callback uses the same
            monitor with the other mode, or ``start_after`` is later than the end of the run.
        RuntimeError: at the first check, the metric is not logged or not a single number.

    Example:
        >>> from lightning_tricks import EarlyStopping
        >>> trainer = Trainer(max_epochs=1000, callbacks=[EarlyStopping("val_loss", patience=20)])

        With Hydra: ``tricks=[early_stopping] tricks.early_stopping.patience=20``

    See :func:`lightning_tricks.functional.plateau.observe` for the rule.
    """

    checklist_roles = ("early_stopping",)

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        patience: int = 10,
        verbose: bool = False,
        mode: Literal["min", "max"] = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
        restore_best: bool = True,
        start_after: Duration = 0,
    ) -> None:
        self.monitor = check_text("monitor", monitor)
        self.min_delta = check_number("min_delta", min_delta, 0)
        self.patience = check_count("patience", patience, 0)
        self.verbose = check_flag("verbose", verbose)
        check_choice("mode", mode, ("min", "max"))
        self.mode = mode
        self.strict = check_flag("strict", strict)
        self.check_finite = check_flag("check_finite", check_finite)
        for name, threshold in (
            ("stopping_threshold", stopping_threshold),
            ("divergence_threshold", divergence_threshold),
        ):
            if threshold is not None:
                check_number(name, threshold)
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        if check_on_train_epoch_end is not None:
            check_flag("check_on_train_epoch_end", check_on_train_epoch_end)
        self.check_on_train_epoch_end = check_on_train_epoch_end
        self.log_rank_zero_only = check_flag("log_rank_zero_only", log_rank_zero_only)
        self.restore_best = check_flag("restore_best", restore_best)
        parse_duration(start_after, "start_after")
        self.start_after = start_after
        super().__init__()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise an error if ``start_after`` is later than the end of the run."""
        run = self._run
        assert run is not None
        steps_per_epoch, length = run.clock.steps_per_epoch, run.clock.length
        try:
            self._start, self._unit = measure(parse_duration(self.start_after), length, "start_after")
        except ValueError as error:
            raise MisconfigurationException(str(error)) from error
        # under manual optimization there may be any number of steps per batch
        known = None if run.is_manual and self._unit == "st" else steps_per_epoch
        lasts = run_end(self._unit, length, known)
        if lasts is not None and self._start > lasts and not run.is_dry:
            raise MisconfigurationException(
                f"`start_after`={self.start_after!r} is later than the end of this run, which lasts {float(lasts):g} "
                f"{'epochs' if self._unit == 'ep' else 'steps'}, so no check would ever count. Reduce it, or train "
                f"longer."
            )
        super().on_train_start(trainer, pl_module)

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return how long the rule waits, and from when on."""
        return [plan_rule(self, run, "stop", pace_of(run).span(float(self._start), self._unit))]

    def counts(self) -> bool:
        """Ignore checks before ``start_after``."""
        return self._run is not None and self._run.clock.moment.time(self._unit) >= self._start

    def observe(self, trainer: Trainer, reading: Reading) -> None:
        """Count the check."""
        before = self.state.best_score
        self.state = observe(
            self.state, reading.value, mode=self.mode, min_delta=self.min_delta, precision=reading.precision
        )
        if self.wait_count >= self.patience and waits_for_cuts(trainer, self, self._record.position):
            self.state = replace(self.state, wait_count=0)
        if self.verbose and self.state.best_score is not before:
            gain = "" if before is None else f" improved by {abs(reading.value - before):.3g} and"
            self._log_message(trainer, f"{self.monitor}{gain} reached a new best score: {reading.value:.4g}.")

    def reason(self, value: float) -> str | None:
        """Return the reason to stop after a check of this value, or ``None``."""
        sign = 1 if self.mode == "min" else -1
        best, worst = self.stopping_threshold, self.divergence_threshold
        if self.check_finite and not math.isfinite(value):
            return f"{self.monitor} = {value} is not finite"
        if best is not None and sign * value < sign * as_precise(best, value):
            return f"{self.monitor} = {value:.4g} is better than the stopping threshold {best:g}"
        if worst is not None and sign * value > sign * as_precise(worst, value):
            return f"{self.monitor} = {value:.4g} is worse than the divergence threshold {worst:g}"
        if self.wait_count >= max(self.patience, 1):
            return f"no better {self.monitor} in {self.wait_count} checks"
        return None

    def stop(self, trainer: Trainer, reason: str) -> None:
        """Log the reason for the stop, if requested."""
        super().stop(trainer, reason)
        if self.verbose:
            self._log_message(trainer, f"EarlyStopping: {reason}; the best score is {self.best_score:.4g}.")

    def _log_message(self, trainer: Trainer, message: str) -> None:
        rank = trainer.global_rank if trainer.world_size > 1 else None
        if not rank or not self.log_rank_zero_only:
            rank_zero.log.info(rank_zero.rank_prefixed_message(message, rank))

    def outcome(self) -> dict[str, float]:
        """Return the best score, the count, and where the run stopped."""
        return {**super().outcome(), "stopped_epoch": self.stopped_epoch}
