"""What rules yield becomes a report: the worst first, repeats together, what was not checked with its reason."""

import json

import pytest
import torch
from torch import nn

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.judge import block_pattern, judge, merge_repeats
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.registry import choose_rules
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule, rule_of
from lightning_tricks.doctor.tracing.examine import examine


def model() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 8), nn.Dropout(0.9), nn.Dropout(1.0))


def test_the_worst_stands_first() -> None:
    report = diagnose(model())
    assert [finding.severity for finding in report.findings] == ["error", "warning", "info"]
    assert (report.ok, len(report.errors), len(report.at_least("warning"))) == (False, 1, 2)


def test_a_report_goes_to_json_and_comes_back() -> None:
    report = diagnose(model(), torch.randn(4, 8))
    assert Report.from_json(report.to_json()) == report
    assert "<pre>" in report._repr_html_()
    assert "p = 0.9" in str(report)


def test_options_move_the_thresholds() -> None:
    quiet = {"PLC005": {"low": 0.05, "limit": 0.95, "high": 0.95}}
    assert [finding.severity for finding in diagnose(model(), options=quiet).findings] == ["error"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("encoder.layers.11.drop", "encoder.layers.*.drop"), ("net.2", "net.2"), ("drops.2", "drops.*"), ("", "")],
)
def test_numbers_of_blocks_become_stars(path: str, pattern: str) -> None:
    assert block_pattern(path, ["drops"]) == pattern


def test_repeats_of_a_block_are_one_finding_and_calls_of_one_module_count_once() -> None:
    facts = examine(model()).model
    twelve = [Symptom(f"layers.{i}.drop", f"reaches layers.{i}.norm, {i / 10}×", "p=0") for i in range(12)]
    (found,) = merge_repeats([*twelve, twelve[0]], facts)
    assert (found.where, found.repeats, found.message) == ("layers.*.drop", 12, "reaches layers.0.norm, 0.0×")
    two = [Symptom("a", "bad", "x"), Symptom("b", "bad", "x")]
    assert merge_repeats(two, facts) == two


def test_what_is_not_checked_is_said_with_the_reason() -> None:
    report = judge(examine(model()), choose_rules(["LOS001", "OPT004"]))
    assert report.notes == [
        "Not checked: LOS001 (no batch was given).",
        "Not checked: OPT004 (the model has no `configure_optimizers`).",
    ]


def test_every_rule_has_an_outcome_that_goes_to_json_and_back() -> None:
    chosen = choose_rules(["PLC005", "PLC010", "LOS001", "OPT009"])
    report = judge(examine(model()), chosen, ignore=["OPT009:*"])
    assert [outcome.code for outcome in report.outcomes] == [rule.code for rule in chosen]
    status = {outcome.code: (outcome.status, outcome.detail) for outcome in report.outcomes}
    assert status["PLC005"] == ("found", "at 0: Dropout has p = 0.1, outside [0.2, 0.5] (and 2 more)")
    assert status["LOS001"] == ("not checked", "no batch was given")
    assert status["OPT009"] == ("passed", "")
    plain = json.loads(report.to_json())
    assert plain["judged"] == [code for code, (said, _) in status.items() if said != "not checked"]
    assert plain["not_judged"]["no batch was given"] == [
        code for code, (said, _) in status.items() if said[:3] == "not"
    ]
    assert Report.from_json(report.to_json()).outcomes == report.outcomes


def test_a_rule_whose_findings_are_all_ignored_says_so() -> None:
    report = diagnose(model(), select=["PLC005"], ignore=["PLC005:*"])
    assert [outcome.status for outcome in report.outcomes if outcome.code == "PLC005"] == ["ignored"]


def test_a_rule_that_passes_states_the_number_that_it_saw() -> None:
    @rule("OWN001", "info", kind="static")
    def observes(evidence: Evidence, *, limit: int = 3) -> Symptoms:
        yield Observed(f"{len(evidence.model.modules)} modules, at most {limit}")

    observing = rule_of(observes)
    assert observing is not None
    report = judge(examine(model()), [observing], {"OWN001": {"limit": 7}})
    assert str(report.outcomes[0]) == "passed      OWN001 observes: 5 modules, at most 7"


def test_a_finding_knows_its_rank() -> None:
    finding = Finding("PLC001", "dropout-before-batchnorm", "warning", "", "seen", "do")
    assert (finding.at_least("info"), finding.at_least("warning"), finding.at_least("error")) == (True, True, False)
    assert str(finding) == "warning PLC001 dropout-before-batchnorm at the model: seen"
