"""Run report: write a one-page report of a run at its end, every n epochs and after an exception."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch.optim import Optimizer

from lightning_tricks.core.arguments import check_count, check_flag, check_text
from lightning_tricks.engine.checkup.gradient_probe import GradientProbe
from lightning_tricks.engine.checkup.report_output import log_curves, write_files
from lightning_tricks.engine.checkup.run_history import RunHistory
from lightning_tricks.engine.checkup.run_sampling import RunSampling, Value, mean_samples
from lightning_tricks.engine.checkup.run_summary import (
    count_looks,
    part_readers,
    read_inputs,
    read_roles,
    read_status,
    read_test,
)
from lightning_tricks.engine.checkup.step_watch import StepWatch
from lightning_tricks.engine.control.run_folder import run_folders
from lightning_tricks.engine.run.idle_hooks import hide_idle_hooks
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.switched_hooks import SwitchedHooks
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.reports.run_record import RunRecord

_Result = TypeVar("_Result")


class RunReport(Trick):
    """Write a one-page report of a run, with its data as JSON.

    Use when: a run should be understood or compared later: losses and their gap, learning rate by factor, gradient
    norm, relative size of updates, findings of the doctor, best score, settings and versions.

    Where it acts: every ``log_every_n_steps`` it records the loss, new metrics, learning rates, gradient norm and
    relative updates (``on_train_batch_start``, ``on_before_optimizer_step`` before any clipping,
    ``on_train_batch_end``), and after each validation and epoch the metrics. Values stay on their device until the end
    of an epoch. It writes ``report.html``, ``report.json`` and ``curves.png`` when the fit ends, also after Ctrl-C or
    an exception, each under a temporary name that is then renamed. Loggers that accept figures (TensorBoard, Weights &
    Biases, MLflow) get ``curves.png`` with each report. ``trainer.test`` with the Trainer of the fit adds its metrics.
    An internal failure raises one warning and never ends a fit.

    Interacts with: the tricks of the run, whose results it includes: :class:`LRFinder`, :class:`Doctor`, schedules,
    clipping, :class:`EarlyStopping`, :class:`GradualUnfreezing`. Under several processes process 0 writes, and metrics
    are means over the processes. With several optimizers there is no gradient norm. A resumed run continues the series;
    its duration counts from the resume. Nothing is written under ``fast_dev_run``.

    Args:
        dirpath: the folder; by default the logger's folder, or ``trainer.default_root_dir`` if there is none.
        every_n_epochs: also write every this many epochs, >= 1; ``None``: only at the end.
        curves: whether to draw ``curves.png``, if matplotlib is installed.

    Attributes:
        report: the :class:`RunRecord` of the last fit, set on process 0; ``None`` before.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import RunReport
        >>> trainer = Trainer(callbacks=[RunReport(every_n_epochs=5)])

        With Hydra: ``tricks=[run_report] tricks.run_report.every_n_epochs=5``

    See :class:`lightning_tricks.reports.run_record.RunRecord` for the data.
    """

    only_looks = True

    def __init__(self, dirpath: str | None = None, *, every_n_epochs: int | None = None, curves: bool = True) -> None:
        super().__init__()
        self.dirpath = None if dirpath is None else check_text("dirpath", dirpath)
        self.every_n_epochs = None if every_n_epochs is None else check_count("every_n_epochs", every_n_epochs, 1)
        self.curves = check_flag("curves", curves)
        self.reset()

    def reset(self) -> None:
        self.report: RunRecord | None = None
        self._history = RunHistory()
        self._sampling = RunSampling()
        self._watch = StepWatch()
        self._now: dict[str, Value] | None = None
        self._began_at = 0
        self._folder: Path | None = None
        self._inputs: dict[str, tuple[int, ...]] = {}
        self._warned = False
        self._started = datetime.now().astimezone()
        self._clock = time.monotonic()

    def _attempt(self, what: str, action: Callable[[], _Result]) -> _Result | None:
        """Return the result of an action, or ``None`` if it fails: a report must never end a fit."""
        try:
            return action()
        except Exception as error:
            if not self._warned:
                self._warned = True
                rank_zero_warn(f"`RunReport` could not {what}: {type(error).__name__}: {error}")
            return None

    # -- samples --------------------------------------------------------------------------------------------------

    def begin_fit(self, run: Run) -> None:
        """Read epoch metrics after the module's own ``on_train_epoch_end``, which may log more."""
        self._sampling.note_seen(run)
        probe = GradientProbe(lambda optimizer: self._measure(run, optimizer))
        run.trainer.callbacks = [probe, *run.trainer.callbacks]  # a new list: Lightning iterates the old one
        run.on_end(lambda: _remove(run.trainer, probe))
        run.on_end(hide_idle_hooks([probe]))

        def measures() -> bool:
            return self._watch.is_due(run.clock.moment.step)

        def samples() -> bool:
            return run.batch_idx % _distance(run.trainer) == 0 or measures()

        hooks = run.part(SwitchedHooks)
        hooks.add(probe, GradientProbe, ["on_before_optimizer_step"], measures)
        hooks.add(self, RunReport, ["on_train_batch_start", "on_train_batch_end"], samples)
        run.call_with(run.module, "on_train_epoch_end", lambda: self._end_epoch(run))

    def _measure(self, run: Run, optimizer: Optimizer) -> None:
        if self._watch.is_due(run.trainer.global_step):
            every = _distance(run.trainer)
            measure = partial(self._watch.before_step, run.trainer, run.module, optimizer, every)
            self._attempt("measure the gradients", measure)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        run, self._now = self._run, None
        if run is not None and batch_idx % _distance(trainer) == 0:
            self._began_at = trainer.global_step
            self._inputs = self._inputs or self._attempt("read the batch", lambda: read_inputs(batch)) or {}
            self._now = self._attempt("read the learning rates", lambda: self._sampling.take_lrs(run)) or {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._watch.is_open:
            self._attempt("measure the update", self._watch.after_batch)
        run, now = self._run, self._now
        if run is None or now is None:
            return
        accumulation = trainer.accumulate_grad_batches
        loss = self._attempt("read the loss", lambda: self._sampling.take_loss(pl_module, outputs, accumulation))
        metrics = self._attempt("read the metrics", lambda: self._sampling.take_metrics(run))
        self._sampling.add(trainer.global_step, {**now, **(loss or {}), **(metrics or {})})
        self._attempt("read what the tricks report", lambda: self._note_members(run, self._began_at))
        self._now = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_epoch_metrics(trainer)

    def _take_epoch_metrics(self, trainer: Trainer) -> None:
        run = self._run
        if run is None or trainer.state.fn != "fit":
            return
        if trainer.sanity_checking:
            self._sampling.note_seen(run)
            return
        metrics = self._attempt("read the metrics", lambda: self._sampling.take_metrics(run))
        self._sampling.add(trainer.global_step, metrics or {})

    def _end_epoch(self, run: Run) -> None:
        self._take_epoch_metrics(run.trainer)
        self._share(run)
        epochs = run.trainer.current_epoch + 1
        if self.every_n_epochs is not None and epochs % self.every_n_epochs == 0:
            self._write(run, has_ended=False)

    # -- series ---------------------------------------------------------------------------------------------

    def _share(self, run: Run) -> None:
        """Add what all processes have sampled since the last call; every process has to call this."""
        mine = self._attempt("read what was sampled", self._take) or ([], [])
        if run.trainer.world_size > 1 and torch.distributed.is_initialized():
            everyone: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(everyone, mine)
        else:
            everyone = [mine]
        self._attempt("keep what was sampled", lambda: self._keep(run, everyone))

    def _take(self) -> tuple[list[Any], list[Any]]:
        return self._sampling.read(), self._watch.take()

    def _keep(self, run: Run, everyone: list[tuple[list[Any], list[Any]]]) -> None:
        self._history.add(mean_samples([samples for samples, _ in everyone]))
        for step, _, names, numbers in everyone[0][1]:
            self._history.add_look(step, names, numbers)
        self._note_members(run, run.trainer.global_step)

    def _note_members(self, run: Run, step: int) -> None:
        for member in run.members:
            findings = getattr(getattr(member, "report", None), "findings", None)
            if findings is not None:
                self._history.note_findings(step, findings)
            if isinstance(getattr(member, "thawed", None), list):
                self._history.note_thawed(step, member.thawed)

    # -- end of the run -----------------------------------------------------------------------------------------------

    def end_fit(self, run: Run) -> None:
        """Write the report; after an exception, without the other processes, which may no longer respond."""
        mine = self._attempt("read what was sampled", self._take)
        if mine is not None:
            self._attempt("keep what was sampled", lambda: self._keep(run, [mine]))
        self._write(run, has_ended=True)
        self._watch.release()

    def _write(self, run: Run, has_ended: bool) -> None:
        has_trained = run.trainer.global_step > 0 or bool(self._history.series)
        if run.trainer.is_global_zero and has_trained and not run.is_dry:
            self.report = self._attempt("assemble its report", lambda: self._record(run, has_ended)) or self.report
            if self.report is not None:
                if has_ended:
                    rank_zero_info(self.report.summary())
                self._attempt("write its files", lambda: self._write_files(run, self.report))  # type: ignore[arg-type]

    def _write_files(self, run: Run, record: RunRecord) -> None:
        folder = Path(run_folders(run.trainer)[0] if self.dirpath is None else self.dirpath)
        self._folder = folder
        figure = write_files(folder, record, curves=self.curves)
        if figure is not None:
            self._attempt("log its picture", lambda: log_curves(run.trainer, figure, folder))

    def _record(self, run: Run, has_ended: bool) -> RunRecord:
        status, reason = read_status(run, has_ended)
        history = self._history
        return RunRecord(
            model=type(run.module).__name__,
            status=status,
            reason=reason,
            started=self._started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._clock, 2),
            epochs=run.trainer.fit_loop.epoch_progress.current.ready,
            steps=run.trainer.global_step,
            metrics=history.by_kind("metric"),
            lrs=history.by_kind("lr"),
            factors=history.by_kind("factor"),
            grad_norm=history.grad_norm,
            update_ratios=history.ratios,
            findings=tuple(history.findings),
            thaws=tuple(history.thaws),
            inputs=self._inputs,
            tricks=tuple(repr(member) for member in run.members),
            roles=read_roles(run.members),
            notes=tuple(self._sampling.notes),
            **self._parts(run),
        )

    def _parts(self, run: Run) -> dict[str, Any]:
        """Return the parts that are read at the time of writing; unreadable parts are omitted with a warning."""
        readers = part_readers(run)
        found = {name: self._attempt(f"read its part `{name}`", reader) for name, reader in readers.items()}
        return {name: value for name, value in found.items() if value is not None}

    # -- after the fit ------------------------------------------------------------------------------------------------

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Add the metrics of a test to the report of the fit before it; every callback has ended the test by then."""
        record, folder = self.report, self._folder
        if stage != "test" or record is None or folder is None or trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
            return
        tested = self._attempt("read the metrics of the test set", lambda: read_test(trainer))
        looks = self._attempt("read the ledger of test looks", lambda: count_looks(trainer))
        self.report = replace(record, test=tested or {}, looks=record.looks if looks is None else looks)
        self._attempt("write its files", lambda: write_files(folder, self.report, curves=False))  # type: ignore[arg-type]

    # -- state ----------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the series, and the samples since they were last extended; synchronizes with the device."""
        waiting = [[step, dict(values)] for step, values in self._sampling.peek()]
        return {"history": self._history.to_plain(), "waiting": waiting, "watch": self._watch.plain_state()}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self._history = RunHistory.from_plain(state["history"])
        self._sampling.waiting = [(step, dict(values)) for step, values in state["waiting"]]
        self._watch.load(state["watch"])


def _remove(trainer: Any, callback: object) -> None:
    trainer.callbacks = [other for other in trainer.callbacks if other is not callback]


def _distance(trainer: Any) -> int:
    """Return the intervals between samples, in batches and in steps."""
    return trainer.log_every_n_steps or 50
