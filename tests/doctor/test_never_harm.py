"""A fault in any part of the doctor is a note in the report; the rest continues, and the model is as it was."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from doctor_inputs import loader, net
from healthy import Lit
from tiny import trainer
from torch import nn
from torch.nn import functional as F

from lightning_tricks import Doctor, diagnose
from lightning_tricks.core.object_snapshot import ObjectSnapshot
from lightning_tricks.doctor.judging.judge import judge
from lightning_tricks.doctor.rules.registry import all_rules, find_rule
from lightning_tricks.doctor.rules.rule import Rule
from lightning_tricks.doctor.tracing.examine import examine

ROOM = "lightning_tricks.doctor"
PARTS = [
    "tracing.examine:read_model",
    "tracing.given_parts:read_loader",
    "tracing.examine:read_plan",
    "tracing.examine:read_optimizers",
    "tracing.given_parts:normalize_optimizer_config",
    "tracing.batch_passes:read_batch",
    "tracing.examine:read_datasets",
    "tracing.batch_passes:trace_step",
    "tracing.examine:TrainerStandIn",
    "tracing.eval_passes:tensors_in",
    "tracing.eval_passes:_change",
    "tracing.recorder:plain_settings",
    "tracing.recorder:measure_result",
    "tracing.recorder:argument_names",
    "tracing.recorder:name_of",
    "tracing.trace_step:find_arrivals",
    "tracing.module_stack:ModuleStack._enter_module",
    "tracing.module_stack:ModuleStack._leave_module",
    "reading.read_model:read_source",
    "reading.read_model:read_pretraining",
    "reading.read_model:measure",
    "reading.read_data:describe",
    "reading.read_data:read_columns",
    "reading.read_datasets:read_marks",
    "reading.read_rows:mark",
]


class SlipError(Exception):
    pass


def slip(*args: Any, **kwargs: Any) -> Any:
    raise SlipError("a slip in the doctor")


def break_part(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(f"{ROOM}.{part.replace(':', '.')}", slip)


def model() -> Lit:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    return Lit(body, F.cross_entropy, lambda params: torch.optim.Adam(params, 1e-3))


@pytest.mark.parametrize("part", PARTS)
def test_a_diagnosis_goes_on_without_the_part_that_fails(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = model()
    before = {key: value.clone() for key, value in patient.state_dict().items()}
    break_part(monkeypatch, part)
    report = diagnose(patient, train_dataloaders=loader(), val_dataloaders=loader(shuffle=False))
    assert not [finding for finding in report.findings if finding.code == "DOC001"], str(report)
    assert any("a slip in the doctor" in note for note in report.notes), str(report)
    assert all(torch.equal(value, patient.state_dict()[key]) for key, value in before.items())
    assert "_trainer" not in vars(patient) or vars(patient)["_trainer"] is None


@pytest.mark.parametrize("part", [part for part in PARTS if not part.endswith("normalize_optimizer_config")])
def test_a_fit_goes_on_without_the_part_that_fails(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, doctor = model(), Doctor()
    trainer(max_epochs=1).fit(plain, loader(shuffle=False))
    break_part(monkeypatch, part)
    watched = model()
    trainer(doctor, max_epochs=1).fit(watched, loader(shuffle=False))
    assert all(torch.equal(value, watched.state_dict()[key]) for key, value in plain.state_dict().items())
    assert doctor.report is not None
    assert any("a slip in the doctor" in note for note in doctor.report.notes), str(doctor.report)


def test_the_note_names_the_place_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{ROOM}.reading.read_optimizers._group", slip)
    report = diagnose(model(), train_dataloaders=loader())
    note = next(note for note in report.notes if "slip" in note)
    assert note.startswith("The doctor could not measure the optimizers: SlipError: a slip in the doctor (")
    assert "doctor/reading/read_optimizers.py:" in note
    assert note.endswith("Please report this.")
    assert any("OPT001" in each and "Not checked" in each for each in report.notes)
    assert report.evidence is not None
    assert report.evidence.trace is not None


def test_rules_that_fail_leave_the_others_alone() -> None:
    evidence = examine(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.9)))
    sound = find_rule("PLC005")
    failing = [rule for rule in all_rules() if rule.code != sound.code]
    report = judge(evidence, [*(replace(rule, needs=(), check=slip_of(rule)) for rule in failing), sound])
    assert [finding.code for finding in report.findings] == ["PLC005"]
    for rule in failing:
        assert any(note.startswith(f"The doctor could not check {rule.code}: SlipError") for note in report.notes)
    not_checked = next(note for note in report.notes if note.startswith("Not checked"))
    assert all(rule.code in not_checked for rule in failing)


def slip_of(rule: Rule) -> Any:
    """A function at the home of a rule of the package, not of the user's own."""

    def check(*args: Any, **kwargs: Any) -> Any:
        return slip()

    check.__module__ = rule.check.__module__
    return check


def test_a_model_that_cannot_be_put_back_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectSnapshot, "remember", slip)
    report = diagnose(model(), train_dataloaders=loader())
    assert report.evidence is not None
    assert report.evidence.trace is None
    assert "could not be recorded" in report.evidence.missing["trace"]


def test_one_object_that_refuses_to_be_put_back_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counting(Lit):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.counter["steps"] = 1
            return super().training_step(batch, batch_idx)

    remember = ObjectSnapshot.remember

    def remember_one_that_refuses(self: ObjectSnapshot, *roots: object, tensors: bool = True) -> None:
        remember(self, *roots, tensors=tensors)
        self._undo.append(slip)

    monkeypatch.setattr(ObjectSnapshot, "remember", remember_one_that_refuses)
    patient = Counting(net(), F.cross_entropy, lambda params: torch.optim.Adam(params, 1e-3))
    patient.counter = {}
    report = diagnose(patient, train_dataloaders=loader())
    assert patient.counter == {}
    assert any("a slip in the doctor" in note for note in report.notes)


class Raises(Lit):
    def __init__(self, where: str) -> None:
        super().__init__(net(), F.cross_entropy, lambda params: torch.optim.Adam(params, 1e-3))
        self.where = where

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.where == "training_step":
            raise KeyError("a slip of the user")
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        if self.where == "configure_optimizers":
            raise KeyError("a slip of the user")
        return super().configure_optimizers()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.where == "on_after_batch_transfer":
            raise KeyError("a slip of the user")
        return batch


@pytest.mark.parametrize("where", ["training_step", "configure_optimizers", "on_after_batch_transfer"])
def test_an_exception_of_the_user_is_an_error_that_names_the_line(where: str) -> None:
    report = diagnose(Raises(where), train_dataloaders=loader())
    found = [finding for finding in report.errors if finding.code == "DOC001"]
    assert len(found) == 1, str(report)
    assert "KeyError: 'a slip of the user'" in found[0].message
    assert f"test_never_harm.py:{_line_of(where)} in {where}" in found[0].message
    assert not any("report this" in note for note in report.notes)


def _line_of(where: str) -> int:
    return Raises.__dict__[where].__code__.co_firstlineno + 2


class Inner(Lit):
    """A step of which torch.func takes the gradient, for each sample on its own."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        parameters = dict(self.net.named_parameters())

        def error(weights: Any, x: Any, y: Any) -> Any:
            return F.cross_entropy(torch.func.functional_call(self.net, weights, (x[None],)), y[None])

        def adapted(x: Any, y: Any) -> Any:
            slopes = torch.func.grad(error)(parameters, x, y)
            return error({name: value - 0.1 * slopes[name] for name, value in parameters.items()}, x, y)

        return torch.func.vmap(adapted)(*batch).mean()


def test_a_step_in_a_transform_is_not_followed_and_nothing_is_said_of_it() -> None:
    model = Inner(net(), F.cross_entropy, lambda parameters: torch.optim.Adam(parameters, 1e-3))
    report = diagnose(model, next(iter(loader())))
    assert report.at_least("warning") == []
    assert not any("report this" in note for note in report.notes)
    assert report.evidence is not None
    assert "torch.func" in report.evidence.missing["trace"]
