"""Doctor: say at the first batch of a fit what is wrong with it, and watch what only training shows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from lightning_tricks.callbacks.run_watch import RunWatch
from lightning_tricks.callbacks.trick import Trick
from lightning_tricks.callbacks.visit import look, share, visit
from lightning_tricks.callbacks.zero_grad_watch import ZeroGradWatch
from lightning_tricks.doctor.evidence import Evidence, RunFacts
from lightning_tricks.doctor.judge import judge
from lightning_tricks.doctor.project import plan_checks
from lightning_tricks.doctor.read_model import read_model
from lightning_tricks.doctor.registry import as_words
from lightning_tricks.doctor.report import Report
from lightning_tricks.functional.arguments import check_choice

_READ_EVERY = 50


class Doctor(Trick):
    """Say what is wrong with a model, its data and its optimizers before it trains on, and what to try.

    Use when: a model is new, or does not learn; it costs about four steps, once.

    Where it acts: before the first step (``on_train_batch_start``), on the batch of that step: one ``training_step`` is
    traced and nothing of it stays, so that training goes on bit-identically. During training the losses are looked at
    every ``log_every_n_steps`` and at the end of an epoch, the parameters once after the first epoch. The report is
    logged once, by process 0.

    Interacts with: nothing. Under DDP process 0 diagnoses its batch while the others wait, and all get its report;
    under ModelParallel/FSDP and DeepSpeed no step is traced, and the report says so. A resumed run keeps the report of
    its start.

    Args:
        select: codes (``PLC001``), prefixes (``PLC``) and names (``dropout-before-batchnorm``) of the rules to check;
            none: all that are not in preview.
        ignore: those not to check; ``"PLC001:encoder.*"`` leaves out what a rule says of modules whose path fits. A
            comment ``# lt: ignore[PLC001]`` in a class's source does so for that module.
        options: thresholds by rule, ``{"PLC005": {"high": 0.7}}``.
        fail_on: end the fit on every process where something as bad is found: ``"warning"`` or ``"error"``.

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

    See :func:`lightning_tricks.doctor.diagnose.diagnose` for use without a fit, ``lightning-tricks list rules`` for
    what is looked at, and ``lightning-tricks explain PLC001`` for what a rule means.
    """

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
        self._late_rules = tuple(one for one in self._checks.rules if one.kind == "R")
        self._start_anew()

    def _start_anew(self) -> None:
        self.report: Report | None = None
        self._facts = RunFacts()
        self._watch = RunWatch()
        self._zeroing: ZeroGradWatch | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget an earlier fit."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._start_anew()

    # -- before the first step --------------------------------------------------------------------------------------

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.report is None:
            self._examine(trainer, pl_module, batch)
            if self._late_rules and not pl_module.automatic_optimization and trainer.current_epoch == 0:
                self._zeroing = ZeroGradWatch(trainer.optimizers)  # now, so that it sees the run's own steps alone

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what can be said of a run without a single batch."""
        if self.report is None:
            self._judge_all(look(trainer, pl_module, None))
            self._tell(trainer)

    def _examine(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
        found = ""
        try:
            evidence = visit(trainer, pl_module, batch)
            if evidence is not None:
                found = self._judge_all(evidence).to_json()
        finally:
            found = share(trainer, found)  # whatever happened: the others wait for it
        if not found:
            raise RuntimeError(f"`{type(self).__name__}` failed on process 0; its message is there.")
        self.report = self.report or Report.from_json(found)
        self._tell(trainer)

    def _judge_all(self, evidence: Evidence) -> Report:
        self.report = judge(replace(evidence, run=RunFacts()), *self._checks)
        return self.report

    def _tell(self, trainer: Trainer) -> None:
        assert self.report is not None
        (rank_zero_info if self.report.ok else rank_zero_warn)(f"{type(self).__name__}: {self.report}")
        self._fail(self.report)

    def _fail(self, report: Report) -> None:
        if self.fail_on is not None and report.at_least(self.fail_on):
            raise MisconfigurationException(f"`{type(self).__name__}(fail_on={self.fail_on!r})`: {report}")

    # -- during training --------------------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._late_rules and trainer.current_epoch == 0:
            self._watch.start_epoch(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = trainer.log_every_n_steps or _READ_EVERY  # type: ignore[attr-defined]
        if self._late_rules and self._watch.see(trainer, outputs) >= every:
            self._read(trainer, pl_module, ())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._late_rules:
            unchanged = self._watch.unchanged(trainer, pl_module) if trainer.current_epoch == 0 else ()
            self._read(trainer, pl_module, unchanged)
            self._let_go()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._let_go()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._zeroing is not None:
            self._zeroing.close()
            self._zeroing = None

    def _read(self, trainer: Trainer, pl_module: LightningModule, unchanged: tuple[str, ...]) -> None:
        """Judge what has come to light since the last time; the same on every process."""
        bad, said = self._watch.first_bad_step(trainer), self._facts
        piled = self._zeroing.kept(trainer) if self._zeroing is not None else ()
        new = RunFacts(
            bad if said.first_bad_step is None else None,
            unchanged,
            tuple(index for index in piled if index not in said.not_zeroed),
        )
        if new == RunFacts() or self.report is None:
            return
        self._facts = RunFacts(
            bad if said.first_bad_step is None else said.first_bad_step,
            unchanged or said.unchanged,
            said.not_zeroed + new.not_zeroed,
        )
        late = judge(Evidence(read_model(pl_module), run=new), *self._checks._replace(rules=self._late_rules))
        self.report = replace(self.report, findings=[*self.report.findings, *late.findings])
        if late.findings:
            rank_zero_warn(f"{type(self).__name__}: {late}")
            self._fail(late)

    # -- the state --------------------------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the report, as JSON."""
        return {"report": self.report.to_json() if self.report else ""}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.report = Report.from_json(state_dict["report"]) if state_dict["report"] else None
