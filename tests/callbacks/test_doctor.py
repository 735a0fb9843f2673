"""Doctor: one look before the first step of which nothing stays, and the numbers of the run."""

import io
import logging
import sys
import time
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchmetrics
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy
from ranks import SaveRank, load_ranks
from recorders import Recorder
from tiny import Net, StatefulLoader, fit, logged, same, trainer, weights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_tricks import CosineDecay, Doctor, LRFinder, Report
from lightning_tricks.doctor.tracing.trainer_stand_in import TrainerStandIn
from lightning_tricks.engine.checkup.examination import why_not_traced


class Sick(Net):
    """Dropout before BatchNorm, at a rate that is too high."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.8), nn.BatchNorm1d(8), nn.ReLU())


class Busy(Sick):
    """Random numbers, a metric, counters: whatever a step may leave behind."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.metric = torchmetrics.MeanMetric()
        self.seen = 0
        self.history: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.seen += 1
        self.history.append(float(torch.rand(())))
        self.metric(batch[0].mean())
        if self.automatic_optimization:
            self.log("metric", self.metric, on_step=True, on_epoch=True)
        return super().training_step((batch[0] + 0.1 * torch.randn_like(batch[0]), batch[1]), batch_idx)

    def train_dataloader(self) -> Any:
        generator = torch.Generator().manual_seed(1)
        data = TensorDataset(StatefulLoader().x, StatefulLoader().y)
        return DataLoader(data, batch_size=4, shuffle=True, generator=generator)


def final_state(trainer: Any, pl_module: Any) -> dict[str, Any]:
    return {
        "weights": weights(pl_module),
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "random": torch.get_rng_state(),
        "loops": trainer.fit_loop.state_dict(),
        "logged": dict(trainer.callback_metrics),
        "module": (pl_module.seen, pl_module.history),
    }


def codes(report: Report | None) -> list[str]:
    assert report is not None
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize("arguments", [{}, {"accumulate_grad_batches": 2, "log_every_n_steps": 1}, {"manual": True}])
def test_training_with_it_is_training_without_it_to_the_last_bit(arguments: dict[str, Any]) -> None:
    manual = arguments.pop("manual", False)
    came_to = []
    for callbacks in ([Doctor()], []):
        torch.manual_seed(3)
        keep = Recorder(on_train_end=final_state)
        fit(*callbacks, keep, net=Busy(manual=manual), max_epochs=2, **arguments)
        came_to.append(keep.seen["on_train_end"][0])
    for part, value in came_to[0].items():
        assert same(value, came_to[1][part]), part


def test_what_is_logged_is_the_same_too(tmp_path: Any) -> None:
    rows = []
    for callbacks in ([Doctor()], []):
        logger = CSVLogger(tmp_path, name=str(len(callbacks)))
        torch.manual_seed(3)
        fit(*callbacks, net=Busy(), max_epochs=1, logger=logger, log_every_n_steps=1)
        rows.append([logged(logger, column) for column in ("metric_step", "metric_epoch")])
    assert len(rows[0][0]) == 6
    assert rows[0] == rows[1]


def test_the_report_is_there_and_said_once(recwarn: pytest.WarningsRecorder) -> None:
    doctor = Doctor()
    fit(doctor, net=Sick())
    assert {"PLC001", "PLC005"} <= set(codes(doctor.report))
    assert len([warning for warning in recwarn if str(warning.message).startswith("Doctor: Sick: not healthy")]) == 1


def test_a_healthy_model_is_worth_one_line_of_information(caplog: pytest.LogCaptureFixture) -> None:
    doctor = Doctor(select=["PLC005"])
    with caplog.at_level(logging.INFO):
        fit(doctor)
    assert doctor.report is not None
    assert doctor.report.ok
    assert "Doctor: Net: healthy (3 rules judged)" in caplog.text


def test_it_ends_the_fit_with_the_report_where_that_is_asked_for() -> None:
    doctor = Doctor(fail_on="warning")
    net = Sick()
    with pytest.raises(MisconfigurationException, match=r"(?s)fail_on='warning'.*PLC001.*BatchNorm1d"):
        fit(doctor, net=net)
    assert net.trace == []
    fit(Doctor(fail_on="error", select=["PLC"]), net=Sick(), max_epochs=1)


def test_a_report_that_ends_the_fit_is_told_once_in_the_exception(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(MisconfigurationException) as error:
        fit(Doctor(fail_on="warning"), net=Sick())
    assert str(error.value).count("PLC001 dropout-before-batchnorm") == 1
    assert "PLC001" not in caplog.text
    assert not [warning for warning in recwarn if "PLC001" in str(warning.message)]


def screen(stream: str) -> list[str]:
    """The lines that a terminal shows: what follows a carriage return overwrites the line."""
    lines = []
    for line in stream.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


@pytest.mark.parametrize("fail_on", [None, "warning"])
def test_findings_stand_on_lines_of_their_own_beside_a_progress_bar(
    fail_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: terminal.write(f"UserWarning: {message}\n"))
    arguments: Any = {"enable_progress_bar": True, "max_epochs": 1}
    try:
        fit(TQDMProgressBar(), Doctor(fail_on=fail_on), net=Sick(), **arguments)
    except MisconfigurationException as error:
        terminal.write(f"{type(error).__name__}: {error}\n")
    lines = [line for line in screen(terminal.getvalue()) if "Doctor" in line and "healthy" in line]
    assert len(lines) == 1, terminal.getvalue()
    assert "Epoch" not in lines[0]
    assert any(line.startswith("Epoch 0") for line in screen(terminal.getvalue()))


def test_rules_of_a_run_are_watched_first_and_judged_later() -> None:
    doctor = Doctor(select=["RUN003", "PLC005"])
    trainer_ = trainer(doctor, Outcomes(doctor), max_epochs=1, log_every_n_steps=1)
    trainer_.fit(Net())
    first = next(callback for callback in trainer_.callbacks if isinstance(callback, Outcomes)).first
    assert first["RUN003"] == ("not checked", "checked during training")
    assert doctor.report is not None
    assert {outcome.code: outcome.status for outcome in doctor.report.outcomes}["RUN003"] == "passed"


class Outcomes(Callback):
    """What a doctor knew of each rule at the first batch."""

    def __init__(self, doctor: Doctor) -> None:
        self.doctor = doctor
        self.first: dict[str, tuple[str, str]] = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.first and self.doctor.report:
            self.first = {outcome.code: (outcome.status, outcome.detail) for outcome in self.doctor.report.outcomes}


class RefusesTheDoctor(Sick):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if isinstance(vars(self)["_trainer"], TrainerStandIn):
            raise ZeroDivisionError("not in this step")
        return super().training_step(batch, batch_idx)


def test_an_exception_in_the_traced_step_is_a_finding_and_the_fit_goes_on() -> None:
    doctor = Doctor()
    net = fit(doctor, net=RefusesTheDoctor(), max_epochs=1)
    assert doctor.report is not None
    assert doctor.report.errors[0].code == "DOC001"
    assert "not in this step" in doctor.report.errors[0].message
    assert len(net.trace) == 6


def test_without_a_batch_the_static_rules_are_checked_and_the_report_says_so() -> None:
    class Empty(Sick):
        def train_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.empty(0, 4), torch.empty(0, 1)))

    doctor = Doctor()
    fit(doctor, net=Empty())
    assert "PLC005" in codes(doctor.report)
    assert doctor.report is not None
    assert any("there was no batch" in note for note in doctor.report.notes)


def test_a_step_that_fetches_its_own_batches_is_not_traced() -> None:
    class Fetches(Sick):
        def training_step(self, dataloader_iter: Any) -> Any:
            return self.loss(next(dataloader_iter)[0])

    doctor = Doctor()
    fit(doctor, net=Fetches(), max_epochs=1)
    assert doctor.report is not None
    assert any("`dataloader_iter`" in note for note in doctor.report.notes)


def test_the_hooks_of_the_transfer_do_not_see_the_batch_twice() -> None:
    calls = []

    class Moves(Net):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            calls.append(dataloader_idx)
            return batch

    fit(Doctor(), net=Moves(), max_epochs=1, limit_val_batches=0)
    assert len(calls) == 6


@pytest.mark.parametrize("name", ["ModelParallelStrategy", "FSDPStrategy", "DeepSpeedStrategy"])
def test_where_the_model_is_sharded_no_step_is_traced(name: str) -> None:
    runner: Any = SimpleNamespace(strategy=type(name, (), {})())
    assert f"not traced under {name}" in why_not_traced(runner, Net())


def test_a_resumed_run_keeps_the_report_of_its_start_and_a_second_fit_makes_a_new_one(tmp_path: Any) -> None:
    doctor = Doctor()
    fit(doctor, ModelCheckpoint(tmp_path, save_last=True), net=Sick(), max_epochs=1)
    other = Doctor()
    fit(other, net=Net(), ckpt_path=None, max_epochs=1)
    assert "PLC001" not in codes(other.report)
    fit(other, net=Sick(), ckpt_path=tmp_path / "last.ckpt", max_epochs=2)
    assert "PLC001" in codes(other.report)
    fit(other, net=Net(), max_epochs=1)
    assert "PLC001" not in codes(other.report)


def test_it_looks_under_fast_dev_run_too() -> None:
    doctor = Doctor()
    fit(doctor, net=Sick(), fast_dev_run=True)
    assert "PLC001" in codes(doctor.report)


class Breaks(Net):
    """The loss is NaN from the ninth step on."""

    def loss(self, batch: Any) -> Any:
        loss = super().loss(batch)
        return loss * float("nan") if self.trainer.global_step >= 8 and self.training else loss


@pytest.mark.parametrize(("every", "steps"), [(3, 9), (50, 12)])
def test_a_loss_that_is_not_finite_is_named_with_its_step_when_the_losses_are_read(every: int, steps: int) -> None:
    doctor = Doctor(fail_on="error")
    net = Breaks()
    with pytest.raises(MisconfigurationException, match="RUN003"):
        fit(doctor, net=net, log_every_n_steps=every)
    assert len(net.trace) == steps
    assert doctor.report is not None
    assert "step 9" in next(finding.message for finding in doctor.report.findings if finding.code == "RUN003")


def test_losses_that_stay_broken_are_said_once() -> None:
    doctor = Doctor(select=["RUN003"])
    fit(doctor, net=Breaks(), log_every_n_steps=2)
    assert codes(doctor.report) == ["RUN003"]


def test_a_layer_that_the_first_epoch_leaves_as_it_was_is_named_once() -> None:
    class HeadOnly(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.head.parameters(), 0.1)

    doctor = Doctor(select=["RUN008"])
    fit(doctor, net=HeadOnly())
    assert doctor.report is not None
    found = [finding.where for finding in doctor.report.findings if finding.code == "RUN008"]
    assert found == ["body.0", "body.1"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"select": ["PLX001"]}, ValueError, "'PLX001' is not a rule. Did you mean PLC001"),
        ({"ignore": ["PLX001:encoder"]}, ValueError, "`ignore`: 'PLX001' is not a rule"),
        ({"options": {"PLC005": {"hihg": 1}}}, ValueError, "Did you mean high"),
        ({"fail_on": "info"}, ValueError, "`fail_on` must be one of 'error', 'warning', got 'info'"),
    ],
)
def test_what_is_spelt_wrong_is_refused_at_once(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Doctor(**arguments)


class Talkative(Sick):
    """A step that calls its fellow processes in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.metric = torchmetrics.MeanMetric(dist_sync_on_step=True)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        self.log("mean", self.metric(x.mean()), sync_dist=True)
        torch.distributed.all_reduce(torch.ones(()))
        self.trainer.strategy.barrier()
        everyones = self.all_gather(x).flatten(0, 1)  # as contrastive losses do
        spread = everyones.std()
        return self.loss((x + 0 * spread, y))


class Raises(Doctor):
    """Write down what this rank raises, and wait for the other: the launcher ends all as soon as one has ended."""

    folder: Any

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        try:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        except MisconfigurationException as error:
            (self.folder / f"raised{trainer.global_rank}").write_text(str(error))
            deadline = time.monotonic() + 30
            while len(list(self.folder.glob("raised*"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            raise


def on_two_ranks(folder: Any, doctor: Doctor | None, **of_strategy: Any) -> list[Any]:
    def read(trainer: Any, pl_module: Any) -> dict[str, Any]:
        report = doctor.report.to_json() if doctor and doctor.report else ""
        return {"weights": weights(pl_module), "report": report}

    folder.mkdir()
    callbacks = [*([doctor] if doctor else []), SaveRank(folder, read)]
    strategy = DDPStrategy(start_method="fork", **of_strategy)
    arguments = {"strategy": strategy, "devices": 2, "max_epochs": 1, "use_distributed_sampler": False}
    trainer(*callbacks, **arguments).fit(Talkative())
    return load_ranks(folder)


@pytest.mark.parametrize("of_strategy", [{}, {"static_graph": True}], ids=["plain", "static graph"])
def test_two_ranks_get_one_report_and_train_on_as_without_it(of_strategy: dict[str, Any], tmp_path: Any) -> None:
    with_it = on_two_ranks(tmp_path / "with", Doctor(), **of_strategy)
    without = on_two_ranks(tmp_path / "without", None, **of_strategy)
    assert same([step["weights"] for step in with_it], [step["weights"] for step in without])
    assert with_it[0]["report"] == with_it[1]["report"]
    assert {"PLC001", "PLC005"} <= set(codes(Report.from_json(with_it[1]["report"])))
    assert "DOC001" not in codes(Report.from_json(with_it[0]["report"]))


def test_two_ranks_end_together_where_it_fails(tmp_path: Any) -> None:
    doctor = Raises(fail_on="warning")
    doctor.folder = tmp_path / "run"
    with pytest.raises(Exception, match="MisconfigurationException"):
        on_two_ranks(doctor.folder, doctor)
    for rank in (0, 1):
        assert "PLC001" in (doctor.folder / f"raised{rank}").read_text()


def test_a_fit_with_nothing_left_to_train_is_judged_next_to_a_schedule() -> None:
    doctor = Doctor()
    runner = trainer(CosineDecay(), doctor, max_epochs=1)
    runner.fit(Net())
    runner.fit(Net())
    assert doctor.report is not None
    assert doctor.report.evidence is not None
    assert doctor.report.evidence.trace is None
    statuses = {outcome.status for outcome in doctor.report.outcomes}
    assert statuses >= {"passed", "not checked"}


@pytest.mark.parametrize("apply", [True, False])
def test_a_rate_that_the_finder_measured_in_this_run_is_not_held_against_a_customary_range(apply: bool) -> None:
    doctor = Doctor(select=["OPT001"])
    finder = LRFinder(min_lr=1e-4, max_lr=1.0, num_steps=20, suggestion="minimum", apply=apply)
    fit(finder, doctor, net=Net(lr=20.0), max_epochs=1)
    assert doctor.report is not None
    assert finder.result is not None
    assert finder.result.suggestion is not None
    assert bool(doctor.report.findings) is not apply
    assert ("measured by LRFinder" in str(doctor.report.to_json())) is apply
