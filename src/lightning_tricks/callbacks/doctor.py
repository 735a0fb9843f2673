"""Doctor: check a fit at its first batch, and watch for problems that appear only during training."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_tricks.core.arguments import check_choice, check_words
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.numeric_facts import NumericFacts
from lightning_tricks.doctor.facts.own_failures import OwnFailures
from lightning_tricks.doctor.facts.run_facts import RunFacts, StartFact
from lightning_tricks.doctor.judging.late_findings import judge_late, judge_start
from lightning_tricks.doctor.judging.project import plan_checks
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.engine.checkup.examination import broadcast_text, examine_here, examine_on_rank_zero
from lightning_tricks.engine.checkup.run_watch import RunWatch, reading_distance
from lightning_tricks.engine.checkup.shared_examination import examination_from_text, examination_to_text
from lightning_tricks.engine.checkup.validation_facts import is_watched_validation
from lightning_tricks.engine.run.progress_line import end_progress_line, log_above_progress_bar
from lightning_tricks.engine.run.result_logging import log_results
from lightning_tricks.engine.run.run import Run
from lightning_tricks.engine.run.switched_hooks import SwitchedHooks
from lightning_tricks.engine.run.trick import Trick
from lightning_tricks.reports.checklist import Role

_Result = TypeVar("_Result")
_COUNTED: tuple[Severity, ...] = ("error", "warning")


class Doctor(Trick):
    """Check a model, its data and its optimizers before training starts, and suggest remedies.

    Use when: a model is new or does not learn. The check takes about as long as five steps, once.

    An internal failure never stops a fit: it becomes a note in the report.

    Where it acts: before the first step (``on_train_batch_start``), on the batch of that step: one ``training_step`` is
    traced and then undone, so that training continues bit-identically. During training the loss of every batch is
    kept on its device and read every ``log_every_n_steps``, and the gradients and updates of one step per interval are
    measured; a logged ``val_loss`` is compared with it at every validation, and the parameters are compared once after
    the first epoch. Process 0 logs the report once, and later findings when they occur. The loggers
    receive the number of errors and warnings, and those that accept text the report.

    Interacts with: nothing. Under DDP, process 0 checks its batch while the others wait, and all receive its report.
    Under ModelParallel/FSDP and DeepSpeed, no step is traced, which the report states. A resumed run keeps the report
    of its start.

    Args:
        select: codes (``PLC001``), prefixes (``PLC``) and names (``dropout-before-batchnorm``) of the rules to check;
            empty: all rules that are not in preview.
        ignore: rules to skip; ``"PLC001:encoder.*"`` ignores findings of modules whose path matches. A comment
            ``# lt: ignore[PLC001]`` in the source of a class does the same for that module.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        fail_on: stop the fit on every process if there is a finding of at least this severity: ``"warning"`` or
            ``"error"``. The report is then the message of the exception and is not logged.

    Attributes:
        report: the :class:`Report` of the last fit; ``None`` before.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an unknown rule or option; the message suggests close matches.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at run time, with the report, see ``fail_on``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import Doctor
        >>> trainer = Trainer(callbacks=[Doctor(ignore=["PLC005"], fail_on="error")])

        With Hydra: ``tricks=[doctor] tricks.doctor.fail_on=error``

    See :func:`lightning_tricks.doctor.judging.diagnose.diagnose` for use without a fit,
    ``lightning-tricks list rules`` for the rules, and ``lightning-tricks explain PLC001`` for the page of a rule.
    """

    only_looks = True
    checklist_roles: ClassVar[tuple[Role, ...]] = ("doctor",)

    def __init__(
        self,
        *,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        options: dict[str, dict[str, Any]] | None = None,
        fail_on: Literal["error", "warning"] | None = None,
    ) -> None:
        super().__init__()
        if fail_on is not None:
            check_choice("fail_on", fail_on, ("error", "warning"))
        self.select, self.ignore = tuple(check_words("select", select)), tuple(check_words("ignore", ignore))
        self.options, self.fail_on = options, fail_on
        self._checks = plan_checks(self.select, self.ignore, options)
        late = tuple(half for rule in self._checks.rules if (half := rule.during_run) is not None)
        self._late_checks = self._checks._replace(rules=late, notes=(), contracts=None)
        self.reset()

    def reset(self) -> None:
        self.report: Report | None = None
        self._failures = OwnFailures()
        self._watch = RunWatch()
        self._model: ModelFacts | None = None
        self._judged_at, self._judged_events = 0, RunFacts().events

    # -- before the first step --------------------------------------------------------------------------------------

    def begin_fit(self, run: Run) -> None:
        """Let most hooks of most batches cost nothing."""

        def samples() -> bool:
            return self.report is None or self._watch.samples_next(run.trainer, run.clock.moment.step)

        hooks = run.part(SwitchedHooks)
        hooks.add(self, Doctor, ["on_train_batch_start", "on_before_optimizer_step"], samples)
        backward = ["on_before_backward", "on_after_backward"]
        hooks.add(self, Doctor, backward, lambda: self._watch.awaits_backward or samples())

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.report is None:
            self._examine(trainer, pl_module, batch)
            if self._watches:
                self._watch.start_steps(trainer, pl_module)  # now, so that it sees only steps of the run
        if self._watches and self._watch.follows_next(trainer):
            self._watch.start_batch(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report what is known at the end of the run, even for a run without a single batch."""
        if self.report is None:
            evidence = self._attempt("examine the model", lambda: examine_here(trainer, pl_module, None))
            self.report = self._judge_all(evidence, pl_module)
            self._publish(trainer, self.report)
        elif self._watches:
            self._judge_and_tell(trainer, pl_module, ended=True)
        self._attempt("send its report to the loggers", lambda: self._log_report(trainer))

    def _examine(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
        """Let process 0 examine the model and share its report; no process is left waiting after an exception."""
        evidence = examine_on_rank_zero(trainer, pl_module, batch, self._failures)
        found = ""
        if evidence is not None:
            report = self.report = self._judge_all(evidence, pl_module)
            found = self._attempt("serialize its report", lambda: examination_to_text(report, evidence)) or ""
        shared = self._attempt("share its report", lambda: broadcast_text(trainer, found)) or found
        loaded = (
            self._attempt("load the report of process 0", lambda: examination_from_text(shared)) if shared else None
        )
        self.report = self.report or (loaded.report if loaded is not None else self._judge_all(None, pl_module))
        self._watch.facts = replace(self._watch.facts, start=loaded.start if loaded is not None else StartFact())
        self._model = self.report.evidence.model if self.report.evidence is not None else None
        self._publish(trainer, self.report)

    def _judge_all(self, evidence: Evidence | None, pl_module: LightningModule) -> Report:
        """Return the report on this evidence, or one that states that the model was not examined."""
        empty = Report(type(pl_module).__name__, notes=["The model was not examined."])
        if evidence is None:
            return empty
        late = {rule.code for rule in self._checks.rules if rule.during_run is not None and rule.in_run is None}
        return self._attempt("judge the evidence", lambda: judge_start(evidence, self._checks, late)) or empty

    def _attempt(self, what: str, action: Callable[[], _Result]) -> _Result | None:
        """Return the result of an action, or None if it raises: its failure must not stop a fit."""
        return self._failures.attempt(what, action, None)

    def _publish(self, trainer: Trainer, report: Report) -> None:
        """Log a report; a report that stops the fit is the message of the exception and is not logged."""
        self._note_failures(report)
        self._attempt("send its report to the loggers", lambda: self._log_report(trainer))
        if self.fail_on is not None and report.at_least(self.fail_on):
            self._attempt("end the progress bar's line", lambda: end_progress_line(trainer))
            codes = ", ".join(dict.fromkeys(finding.code for finding in report.at_least(self.fail_on)))
            text = str(report) if trainer.is_global_zero else f"{codes}; see the error of rank 0 for the report"
            raise MisconfigurationException(f"`{type(self).__name__}(fail_on={self.fail_on!r})`: {text}")
        self._attempt("log its report", lambda: self._log_text(report, is_warning=not report.ok))

    def _log_text(self, text: object, is_warning: bool) -> None:
        log_above_progress_bar(f"{type(self).__name__}: {text}", is_warning=is_warning)

    def _log_report(self, trainer: Trainer) -> None:
        """Send the number of findings so far, and the report as text, to the loggers of the run."""
        if self.report is not None:
            counts = Counter(finding.severity for finding in self.report.findings)
            log_results(trainer, self, {f"{kind}s": counts[kind] for kind in _COUNTED}, {"report": str(self.report)})

    def _note_failures(self, *reports: Report) -> list[str]:
        """Add the failures of the doctor to the notes of reports; return the new ones."""
        found = [*self._failures.notes, *self._watch.failures.notes]
        new = [note for note in found if self.report is None or note not in self.report.notes]
        for report in {id(report): report for report in (self.report, *reports) if report is not None}.values():
            report.notes[:0] = [note for note in found if note not in report.notes]
        return new

    # -- during training --------------------------------------------------------------------------------------------

    @property
    def _watches(self) -> bool:
        return bool(self._late_checks.rules) and not self._watch.ended

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches:
            self._watch.start_epoch(trainer, pl_module)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if self._watches:
            self._watch.before_backward(loss)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches:
            self._watch.after_backward(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self._watches:
            self._watch.before_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step if self._run is None else self._run.clock.moment.step
        if self._watches and self._watch.after_batch(trainer, step, outputs):
            self._watch.read(trainer)
            self._judge_if_due(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._watches and is_watched_validation(trainer):
            self._watch.after_validation_batch(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches and is_watched_validation(trainer):
            self._watch.end_validation(trainer)
            self._judge_if_due(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches:
            self._watch.end_epoch(trainer, pl_module)
            self._judge_if_due(trainer, pl_module)

    def end_fit(self, run: Run) -> None:
        self._watch.release()

    def _judge_if_due(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge events immediately, but trends only at intervals: short epochs would judge them every few steps."""
        due = self._watch.batches - self._judged_at >= reading_distance(trainer)
        if due or self._watch.ended or self._watch.facts.events != self._judged_events:
            self._judge_and_tell(trainer, pl_module)

    def _judge_and_tell(self, trainer: Trainer, pl_module: LightningModule, ended: bool = False) -> None:
        """Log new findings; the same on every process."""
        if self.report is None:
            return
        self._judged_at, self._judged_events = self._watch.batches, self._watch.facts.events
        late = self._attempt("judge the run", lambda: self._judge_run(pl_module, ended))
        if late is not None and late.findings:
            self._publish(trainer, late)
        elif new := self._note_failures():
            self._attempt("log its notes", lambda: self._log_text(" ".join(new), is_warning=True))

    def _judge_run(self, pl_module: LightningModule, ended: bool = False) -> Report:
        """Return the new findings and add them to the report."""
        assert self.report is not None
        self._model = self._model or read_model(pl_module)
        run = replace(self._watch.facts, ended=ended)
        evidence = Evidence(self._model, run=run, numerics=run.numerics or NumericFacts())
        late, self.report = judge_late(self.report, evidence, self._late_checks)
        return late

    # -- state --------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the report and the observations of the run, as JSON."""
        report = self._attempt("save its report", self.report.to_json) if self.report is not None else ""
        run = self._attempt("save what it watched", self._watch.to_json) if self._watches else ""
        return {"report": report or "", "run": run or ""}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        self.report = Report.from_json(state["report"]) if state["report"] else None
        self._watch = RunWatch()
        if state.get("run"):
            self._watch.load_json(state["run"])
        else:  # the start of the run was not watched
            self._watch.facts = RunFacts(StartFact(trained=True))
