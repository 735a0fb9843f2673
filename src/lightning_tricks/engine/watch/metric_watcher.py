"""Metric watchers: the hooks of all callbacks that watch a metric; a subclass defines the effect of a new value."""

from dataclasses import asdict
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn

from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.trick import Trick, callbacks_of
from lightning_tricks.engine.watch.best_weights import BestWeights
from lightning_tricks.engine.watch.early_notice import warn_of_unknown_monitor
from lightning_tricks.engine.watch.metric_reader import MetricReader, Reading
from lightning_tricks.engine.watch.monitor_conflicts import refuse_other_modes
from lightning_tricks.engine.watch.watch_record import WatchRecord
from lightning_tricks.engine.watch.watch_report import publish, report_end
from lightning_tricks.functional.plateau import Mode, PlateauState, is_better, worst


class MetricWatcher(Trick):
    """A trick that checks a metric, once per validation if validation logs it, otherwise once per epoch."""

    identity: ClassVar[tuple[str, ...]] = ("monitor", "mode")

    monitor: str
    mode: Mode
    min_delta: float
    strict: bool
    restore_best: bool
    check_on_train_epoch_end: bool | None = None
    """When to check: at the end of the training epoch (True) or of validation (False); ``None``: see the class."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self.state = PlateauState()
        self._record = WatchRecord()
        self._weights = BestWeights()
        self._is_running = self._has_run = self._is_resumed = self._has_validated = False
        self._looks_now = self._acts_before_batch = False

    @property
    def best_score(self) -> float:
        """The best score so far; before the first check, the worst possible value."""
        return worst(self.mode) if self.state.best_score is None else self.state.best_score

    @property
    def best_position(self) -> tuple[int, int]:
        """The epoch of the best check, and the optimizer steps before it."""
        return self._record.best_epoch, self._record.best_step

    @property
    def wait_count(self) -> int:
        """Consecutive checks without a new best."""
        return self.state.wait_count

    @property
    def stopped_epoch(self) -> int:
        """The epoch in which this callback stopped the run; 0 if it did not."""
        return self._record.stopped_epoch

    @property
    def stopping_reason_message(self) -> str | None:
        """The reason why this callback stopped the run; ``None`` if it did not."""
        return self._record.stop_reason

    def observe(self, trainer: Trainer, reading: Reading) -> None:
        """Update ``self.state`` with a new value."""
        raise NotImplementedError

    def reason(self, value: float) -> str | None:
        """Return the reason to stop after a check of this value, or ``None``."""
        raise NotImplementedError

    def counts(self) -> bool:
        """Return whether a check at this time counts."""
        return True

    def outcome(self) -> dict[str, float]:
        """Return the results of the run by name."""
        return {"best_score": self.best_score, "wait_count": self.wait_count}

    def describe_best(self) -> str:
        """Return the best score and where it was reached."""
        if self.state.best_score is None:
            return f"No {self.monitor} was better than {self.best_score}"
        where = f"epoch {self._record.best_epoch}, step {self._record.best_step}"
        return f"Best {self.monitor} {self.best_score:.4g} ({where})"

    def restores_best(self) -> bool:
        """Return whether the weights of the best check have been restored."""
        return self._weights.was_restored

    def summary_sentences(self) -> list[str]:
        """Return additional sentences about the run."""
        return []

    @property
    def checks_by_validation(self) -> bool:
        """Whether each validation is a check; assumed before the first one, unless a sanity check showed otherwise."""
        at_epoch_end = self.check_on_train_epoch_end
        return self._record.may_be_validations() if at_epoch_end is None else not at_epoch_end

    # -- the run ----------------------------------------------------------------------------------------------------

    def begin_fit(self, run: Run) -> None:
        """Raise an error for contradictions, and act after the module's own hooks, which may log the metric."""
        trainer, module = run.trainer, run.module
        refuse_other_modes(trainer, self)
        self._reader = MetricReader(type(self).__name__, self.monitor, self.strict)
        run.call_with(module, "on_train_epoch_end", lambda: self._end_epoch(trainer, module))
        # averaging callbacks write their weights in `on_train_end`; the module may export them in its own
        run.call_with(module, "on_train_end", lambda: self._finish(trainer, module), before=True)
        # the first hook of a validation; callbacks swap weights in later ones
        run.call_with(module, "on_validation_model_eval", lambda: self._begin_validation(trainer, module), before=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue from a checkpoint, which has been loaded by now under every strategy."""
        self._is_running = self._has_run = True
        self._is_resumed = self._record.position >= 0 or trainer.global_step > 0
        if self.restore_best:
            self._act_before_next_batch(pl_module)
            self._weights.start(trainer, pl_module)
            if self.state.best_score is not None and self._weights.score is None:
                rank_zero_warn(
                    f"`{type(self).__name__}` continues with a best `{self.monitor}` of {self.best_score:g}, but the "
                    "checkpoint does not contain the weights of that check. Only weights of later checks can be "
                    "restored."
                )
        if self._record.stopped and self._record.last_score is not None:
            batches = trainer.fit_loop.batch_idx + 1
            self._judge(trainer, self._record.last_score, self._epoch_is_over(batches))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.restore_best:
            self._act_before_next_batch(pl_module)

    def rewind(self, pl_module: LightningModule) -> None:
        """Continue the training from the best weights, if they are kept."""
        if self.restore_best:
            self._record.rewind = True
            self._act_before_next_batch(pl_module)

    def _act_before_next_batch(self, pl_module: LightningModule) -> None:
        if self._run is not None and not self._acts_before_batch:
            self._acts_before_batch = True
            self._run.before_next_batch(lambda batch_idx: self._before_batch(pl_module, batch_idx))

    def _before_batch(self, pl_module: LightningModule, batch_idx: int) -> None:
        self._acts_before_batch = False
        if batch_idx == 0:
            self._weights.begin_epoch(pl_module)
        if self._record.rewind:
            self._record.rewind = False
            self._weights.restore(pl_module)

    # -- checks -------------------------------------------------------------------------------------------------

    def _watches(self, trainer: Trainer) -> bool:
        return bool(trainer.state.fn == "fit" and not trainer.fast_dev_run)  # type: ignore[attr-defined]

    def _begin_validation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._looks_now = self.restore_best and self._watches(trainer) and not trainer.sanity_checking
        if self._looks_now:
            self._weights.begin_validation(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches(trainer):
            self._reader.start_validation(trainer)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._looks_now:
            self._looks_now = False
            self._weights.begin_batches(pl_module, later=self.check_on_train_epoch_end is True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._watches(trainer):
            return
        reading = self._reader.read(trainer)
        is_new = reading is not None and reading.is_new
        if trainer.sanity_checking:
            self._record.sanity_logs = is_new
            if reading is None and self.check_on_train_epoch_end is not True:
                warn_of_unknown_monitor(type(self).__name__, self.monitor, trainer.callback_metrics, self.strict)
            return
        self._has_validated = True
        self._record.by_validation |= is_new
        if self.check_on_train_epoch_end:
            if reading is not None and is_new:
                self._record.keep_for_epoch_end(reading)
            return
        if reading is None and self.check_on_train_epoch_end is False:
            self._reader.report_missing(trainer)
        if reading is not None and (is_new or self.check_on_train_epoch_end is False):
            self._check(trainer, pl_module, reading, trainer.fit_loop.batch_idx + 1)
        self._weights.drop_evaluated()

    def _end_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check a metric of training, including those logged in ``on_train_epoch_end``."""
        if self.restore_best and self._watches(trainer):
            self._weights.note_trained(pl_module)
        if not self._watches(trainer) or self.check_on_train_epoch_end is False:
            return
        reading = self._record.take_held() if self._record.is_validations else self._reader.read(trainer)
        if reading is None and not self._record.is_validations and not self._may_still_be_logged(trainer):
            self._reader.report_missing(trainer)
        if reading is not None and reading.is_new:
            self._check(trainer, pl_module, reading, trainer.fit_loop.batch_idx + 1, epoch_ends=True)
        self._weights.drop_evaluated()
        self._is_resumed = False

    def _may_still_be_logged(self, trainer: Trainer) -> bool:
        """Return whether a coming validation will log the metric, or the epoch did before the resume."""
        return self._is_resumed or (trainer.enable_validation and not self._has_validated)

    def _check(
        self, trainer: Trainer, pl_module: LightningModule, reading: Reading, batches: int, epoch_ends: bool = False
    ) -> None:
        record = self._record
        epoch_ends = epoch_ends or self._epoch_is_over(batches)
        position = trainer.fit_loop.total_batch_idx
        if position == record.position or not self.counts():
            return
        record.position, record.last_score = position, reading.value
        if self._is_better(reading, self.state.best_score):
            record.best_epoch, record.best_step = trainer.current_epoch, trainer.global_step
        if self.restore_best and self._is_better(reading, self._weights.score):
            self._weights.keep(pl_module, reading.value, evaluated=record.by_validation)
        self.observe(trainer, reading)
        self._judge(trainer, reading.value, epoch_ends)

    def _epoch_is_over(self, batches: int) -> bool:
        return self._run is not None and self._run.clock.epoch_is_over(batches)

    def _is_better(self, reading: Reading, best: float | None) -> bool:
        return is_better(reading.value, best, mode=self.mode, min_delta=self.min_delta, precision=reading.precision)

    def _judge(self, trainer: Trainer, value: float, epoch_ends: bool) -> None:
        """Stop if there is a reason, but not before the Trainer may stop, because ``should_stop`` is never reset."""
        reason = self.reason(value)
        epochs = trainer.current_epoch + epoch_ends
        may_stop = epochs >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)
        if reason and may_stop:
            self.stop(trainer, reason)
        else:
            self._record.mark_continuing()

    def stop(self, trainer: Trainer, reason: str) -> None:
        """End the run, and record when and why."""
        trainer.should_stop = True
        self._record.stop(trainer.current_epoch, reason)

    # -- end ----------------------------------------------------------------------------------------------------

    def _finish(self, trainer: Trainer, pl_module: LightningModule, interrupted: bool = False) -> None:
        """Restore the best weights, after the last hooks of all callbacks, and log the outcome of the run."""
        if not self._is_running:
            return
        self._is_running = False
        if self.restore_best and self._weights.score is not None and self._watches(trainer):
            self._weights.restore_everywhere(trainer, pl_module, together=not interrupted)
            for watcher in callbacks_of(trainer, MetricWatcher) if self._weights.was_restored else ():
                watcher._weights.note_trained(pl_module)
        publish(trainer, self.state_key, self.outcome())
        if self._watches(trainer):
            watchers = callbacks_of(trainer, MetricWatcher) or [self]
            report_end(trainer, self, watchers, has_checked=self._record.position >= 0, interrupted=interrupted)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the best weights if a finished run was resumed and nothing was left to train."""
        if self.restore_best and not self._has_run:
            self._weights.restore(pl_module, together=False)

    def end_fit(self, run: Run) -> None:
        """On Ctrl-C, restore the best weights after all callbacks have saved their checkpoints."""
        self._is_running = self._is_running and isinstance(run.error, KeyboardInterrupt)
        self._finish(run.trainer, run.module, interrupted=True)

    # -- state --------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the state of the scores, the record of the watch, and the best weights."""
        weights = self._weights.state() if self.restore_best else {}
        return {"plateau": asdict(self.state), "record": asdict(self._record), "weights": weights}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Under DDP, let rank 0, which has the best weights and writes the file, add them."""
        entry = checkpoint.get("callbacks", {}).get(self.state_key)
        if entry:
            self._weights.complete_(entry["weights"])

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.state = PlateauState(**state["plateau"])
        self._record = WatchRecord(**state["record"])
        self._weights.load(state["weights"] if self.restore_best else {})
