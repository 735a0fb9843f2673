"""Doctor: say at the first batch of a fit what is wrong with it, and watch what only training shows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch.optim import Optimizer

from lightning_tricks.core.arguments import check_choice
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import RunFacts, StartFact
from lightning_tricks.doctor.facts.starting_facts import starting_facts
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.judging.project import plan_checks
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import Outcome
from lightning_tricks.doctor.rules.registry import as_words
from lightning_tricks.engine.checkup.examination import broadcast_text, examine_here, examine_on_rank_zero
from lightning_tricks.engine.checkup.run_watch import RunWatch, reading_distance
from lightning_tricks.engine.run.progress_line import above_progress_bar, end_progress_line
from lightning_tricks.engine.run.trick import Trick


class Doctor(Trick):
    """Say what is wrong with a model, its data and its optimizers before it trains on, and what to try.

    Use when: a model is new, or does not learn; it costs about four steps, once.

    Where it acts: before the first step (``on_train_batch_start``), on the batch of that step: one ``training_step`` is
    traced and nothing of it stays, so that training goes on bit-identically. During training the loss of every batch is
    kept on its device and read every ``log_every_n_steps``, and the gradients and updates of one step in as many are
    measured; a logged ``val_loss`` is compared with it at every validation, and the parameters are looked at once after
    the first epoch. The report is logged once, by process 0, and what comes to light later when it does.

    Interacts with: nothing. Under DDP process 0 diagnoses its batch while the others wait, and all get its report;
    under ModelParallel/FSDP and DeepSpeed no step is traced, and the report says so. A resumed run keeps the report of
    its start.

    Args:
        select: codes (``PLC001``), prefixes (``PLC``) and names (``dropout-before-batchnorm``) of the rules to check;
            none: all that are not in preview.
        ignore: those not to check; ``"PLC001:encoder.*"`` leaves out what a rule says of modules whose path fits. A
            comment ``# lt: ignore[PLC001]`` in a class's source does so for that module.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        fail_on: end the fit on every process where something as bad is found: ``"warning"`` or ``"error"``. The report
            is then the exception's message, and is not logged as well.

    Attributes:
        report: the :class:`Report` of the last fit, ``None`` before.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an unknown rule or option; the message offers the closest names.
        lightning.pytorch.utilities.exceptions.MisconfigurationException: at run time, with the report, see ``fail_on``.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from lightning_tricks import Doctor
        >>> trainer = Trainer(callbacks=[Doctor(ignore=["PLC005"], fail_on="error")])

        With Hydra: ``tricks=[doctor] tricks.doctor.fail_on=error``

    See :func:`lightning_tricks.doctor.judging.diagnose.diagnose` for use without a fit,
    ``lightning-tricks list rules`` for what is looked at, and ``lightning-tricks explain PLC001`` for what a rule
    means.
    """

    only_looks = True

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
        self.select, self.ignore = tuple(as_words(select)), tuple(as_words(ignore))
        self.options, self.fail_on = options, fail_on
        self._checks = plan_checks(self.select, self.ignore, options)
        late = tuple(rule for rule in self._checks.rules if rule.kind == "run")
        self._late_checks = self._checks._replace(rules=late, notes=(), contracts=None)
        self._start_anew()

    def _start_anew(self) -> None:
        self.report: Report | None = None
        self._watch = RunWatch()
        self._model: ModelFacts | None = None
        self._judged_at, self._judged_events = 0, RunFacts().events

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier fit."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._start_anew()

    # -- before the first step --------------------------------------------------------------------------------------

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.report is None:
            self._examine(trainer, pl_module, batch)
            if self._late_checks.rules:
                self._watch.start_steps(trainer, pl_module)  # now, so that it sees the run's own steps alone

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what can be said now that the run is over, even of one without a single batch."""
        if self.report is None:
            self._tell(trainer, self._judge_all(examine_here(trainer, pl_module, None)))
        elif self._late_checks.rules:
            self._judge_and_tell(trainer, pl_module, ended=True)

    def _examine(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
        found = ""
        try:
            evidence = examine_on_rank_zero(trainer, pl_module, batch)
            if evidence is not None:
                found = json.dumps([self._judge_all(evidence).to_json(), to_plain(starting_facts(evidence))])
        finally:
            found = broadcast_text(trainer, found)  # whatever happened: the others wait for it
        if not found:
            raise RuntimeError(f"`{type(self).__name__}` failed on process 0; its message is there.")
        report, start = json.loads(found)
        self.report = self.report or Report.from_json(report)
        self._watch.facts = replace(self._watch.facts, start=from_plain(StartFact, start))
        self._model = read_model(pl_module) if self.report.evidence is None else self.report.evidence.model
        self._tell(trainer, self.report)

    def _judge_all(self, evidence: Evidence) -> Report:
        report = judge(replace(evidence, run=RunFacts()), *self._checks)
        late = {rule.code for rule in self._late_checks.rules}
        outcomes = [_still_to_see(outcome) if outcome.code in late else outcome for outcome in report.outcomes]
        self.report = replace(report, outcomes=outcomes)
        return self.report

    def _tell(self, trainer: Trainer, report: Report) -> None:
        """Log a report; one that ends the fit is the exception's message, and stands last, once."""
        if self.fail_on is not None and report.at_least(self.fail_on):
            end_progress_line(trainer)
            codes = ", ".join(dict.fromkeys(finding.code for finding in report.at_least(self.fail_on)))
            told = str(report) if trainer.is_global_zero else f"{codes}; process 0 shows the report"
            raise MisconfigurationException(f"`{type(self).__name__}(fail_on={self.fail_on!r})`: {told}")
        with above_progress_bar():
            (rank_zero_info if report.ok else rank_zero_warn)(f"{type(self).__name__}: {report}")

    # -- during training --------------------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._late_checks.rules:
            self._watch.start_epoch(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self._late_checks.rules:
            self._watch.before_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._late_checks.rules and self._watch.after_batch(trainer, pl_module, outputs):
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
        if self._watches_validation(trainer):
            self._watch.after_validation_batch(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._watches_validation(trainer):
            self._watch.end_validation(trainer)
            self._judge_if_due(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._late_checks.rules:
            self._watch.end_epoch(trainer, pl_module)
            self._judge_if_due(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._watch.let_go()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._watch.let_go()

    def _watches_validation(self, trainer: Trainer) -> bool:
        """Say whether this is a validation of the fit, and one of every process: those without batches skip theirs."""
        owners = (trainer.lightning_module, trainer.datamodule)  # type: ignore[attr-defined]
        some_skip = any(getattr(owner, "allow_zero_length_dataloader_with_multiple_devices", False) for owner in owners)
        is_of_fit = trainer.state.fn == "fit" and not trainer.sanity_checking
        return bool(self._late_checks.rules) and is_of_fit and not (some_skip and trainer.world_size > 1)

    def _judge_if_due(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge events at once; trends only now and then, for short epochs would judge them at every few steps."""
        due = self._watch.batches - self._judged_at >= reading_distance(trainer)
        if due or self._watch.facts.events != self._judged_events:
            self._judge_and_tell(trainer, pl_module)

    def _judge_and_tell(self, trainer: Trainer, pl_module: LightningModule, ended: bool = False) -> None:
        late = self._judge_run(pl_module, ended)
        if late is not None and late.findings:
            self._tell(trainer, late)

    def _judge_run(self, pl_module: LightningModule, ended: bool = False) -> Report | None:
        """Add to the report what has come to light since the last time, and return that; the same on every process."""
        if self.report is None:
            return None
        self._judged_at, self._judged_events = self._watch.batches, self._watch.facts.events
        self._model = self._model or read_model(pl_module)
        late = judge(Evidence(self._model, run=replace(self._watch.facts, ended=ended)), *self._late_checks)
        late.findings = [
            finding for finding in late.findings if not any(_covers(said, finding) for said in self.report.findings)
        ]
        judged = {outcome.code: outcome for outcome in late.outcomes}
        outcomes = [judged.get(outcome.code, outcome) for outcome in self.report.outcomes]
        still = [said for said in self.report.findings if not any(_covers(finding, said) for finding in late.findings)]
        self.report = replace(self.report, findings=[*still, *late.findings], outcomes=outcomes)
        return late

    # -- the state --------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the report and what was watched, as JSON."""
        run = self._watch.to_json() if self._late_checks.rules else ""
        return {"report": self.report.to_json() if self.report else "", "run": run}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.report = Report.from_json(state_dict["report"]) if state_dict["report"] else None
        self._watch = RunWatch()
        if state_dict.get("run"):
            self._watch.load_json(state_dict["run"])
        else:  # nobody watched how it started
            self._watch.facts = RunFacts(StartFact(trained=True))


def _still_to_see(outcome: Outcome) -> Outcome:
    """Return what is known of a rule that watches a run, before its first step."""
    if outcome.status != "passed":
        return outcome
    return replace(outcome, status="not checked", detail="watched while the model trains")


def _covers(finding: Finding, other: Finding) -> bool:
    """Say whether a finding is the other one, or a worse form of it."""
    return (finding.code, finding.where) == (other.code, other.where) and finding.at_least(other.severity)
