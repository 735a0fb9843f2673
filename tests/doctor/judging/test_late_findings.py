"""Late findings: what is new in a training is added once, and what is no longer true to its start is replaced."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from healthy_nets import mlp

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.judging.late_findings import judge_late, judge_start
from lightning_tricks.doctor.judging.project import Checks
from lightning_tricks.doctor.reading.read_model import read_model
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import NotChecked, Rule, Symptom, rule, rule_of


def severe_from(step: int) -> Rule:
    """A rule that finds a milder fault before a step, and a worse one from it on."""

    @rule("XYZ001", "info", kind="run")
    def late_fault(evidence: Evidence) -> Iterator[Symptom]:
        """A fault that grows."""
        assert evidence.run is not None
        if evidence.run.first_bad_step is not None:
            severity: Severity = "error" if evidence.run.first_bad_step >= step else "info"
            yield Symptom("loss", "seen", "try", severity)

    found = rule_of(late_fault)
    assert found is not None
    return found


MODEL = read_model(mlp(8)(4, 3))
CHECKS = Checks((severe_from(5),), {}, ())


def facts(first_bad_step: int | None) -> Evidence:
    return Evidence(MODEL, run=RunFacts(first_bad_step=first_bad_step))


def test_before_the_first_step_a_late_rule_has_not_passed() -> None:
    early = judge_start(Evidence(MODEL), CHECKS, {"XYZ001"})
    assert [(outcome.code, outcome.status, outcome.detail) for outcome in early.outcomes] == [
        ("XYZ001", "not checked", "checked during training")
    ]
    assert [outcome.status for outcome in judge_start(Evidence(MODEL), CHECKS, set()).outcomes] == ["passed"]


@pytest.mark.parametrize(
    ("at_start", "in_training", "kept"),
    [("", "no sum was seen", "no sum was seen"), ("there is no batch", "no sum was seen", "there is no batch")],
    ids=["in place of when", "but keeps an earlier reason"],
)
def test_a_late_rule_that_cannot_be_checked_says_why(at_start: str, in_training: str, kept: str) -> None:
    @rule("XYZ003", "info", kind="run")
    def never_seen(evidence: Evidence) -> Iterator[NotChecked]:
        """A fault that this run cannot show."""
        assert evidence.run is not None
        if reason := at_start if evidence.run.first_bad_step is None else in_training:
            yield NotChecked(reason)

    found = rule_of(never_seen)
    assert found is not None
    checks = Checks((found,), {}, ())
    start = judge_start(Evidence(MODEL), checks, {"XYZ003"})
    assert [outcome.detail for outcome in start.outcomes] == [at_start or "checked during training"]
    _, report = judge_late(start, facts(1), checks)
    assert [(outcome.status, outcome.detail) for outcome in report.outcomes] == [("not checked", kept)]


def test_a_finding_is_new_once_and_a_worse_one_takes_the_place_of_a_milder_one() -> None:
    report = judge_start(Evidence(MODEL), CHECKS, {"XYZ001"})
    seen = []
    for step in (None, 1, 2, 5, 6, 1):
        late, report = judge_late(report, facts(step), CHECKS)
        seen.append(([found.severity for found in late.findings], [found.severity for found in report.findings]))
    assert seen == [
        ([], []),
        (["info"], ["info"]),
        ([], ["info"]),
        (["error"], ["error"]),
        ([], ["error"]),
        ([], ["error"]),
    ]
    assert [outcome.status for outcome in report.outcomes] == ["found"]


def test_notes_are_added_once_and_those_on_unchecked_rules_not_at_all() -> None:
    needy = replace(severe_from(5), needs=("batch",))
    checks = Checks((needy,), {}, (), ("A rule could not be loaded.",))
    report = judge_start(Evidence(MODEL), CHECKS, {"XYZ001"})
    for _ in range(2):
        _, report = judge_late(report, facts(1), checks)
    assert report.notes == ["A rule could not be loaded."]


@pytest.mark.parametrize(
    ("first", "late", "expected"),
    [
        ("passed", "passed", "passed"),
        ("passed", "not checked", "passed"),
        ("passed", "found", "found"),
        ("found", "passed", "found"),
        ("not checked", "passed", "passed"),
    ],
)
def test_a_rule_of_a_batch_that_is_checked_again_keeps_what_is_known(first: str, late: str, expected: str) -> None:
    def answer(status: str) -> Iterator[Symptom | NotChecked]:
        if status != "passed":
            yield Symptom("loss", f"{status} early", "try") if status == "found" else NotChecked("no reason")

    @rule("XYZ002", "info", kind="batch", in_run=lambda _: answer(late))
    def fault_twice(evidence: Evidence) -> Iterator[Symptom | NotChecked]:
        """A fault of a batch, or of a run."""
        yield from answer(first)

    found = rule_of(fault_twice)
    assert found is not None
    assert found.during_run is not None
    report = judge_start(Evidence(MODEL), Checks((found,), {}, ()), set())
    _, report = judge_late(report, facts(None), Checks((found.during_run,), {}, ()))
    assert [outcome.status for outcome in report.outcomes] == [expected]
