"""What rules yield becomes a report: the worst first, repeats together, what was not checked with its reason."""

import pytest
import torch
from torch import nn

from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.judge import block_pattern, judge, put_repeats_together
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.registry import choose_rules
from lightning_tricks.doctor.rules.rule import Symptom
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
    (found,) = put_repeats_together([*twelve, twelve[0]], facts)
    assert (found.where, found.repeats, found.message) == ("layers.*.drop", 12, "reaches layers.0.norm, 0.0×")
    two = [Symptom("a", "bad", "x"), Symptom("b", "bad", "x")]
    assert put_repeats_together(two, facts) == two


def test_what_is_not_checked_is_said_with_the_reason() -> None:
    report = judge(examine(model()), choose_rules(["LOS001", "OPT004"]))
    assert report.notes == [
        "Not checked: LOS001 (no batch was given).",
        "Not checked: OPT004 (the model has no `configure_optimizers`).",
    ]


def test_a_finding_knows_its_rank() -> None:
    finding = Finding("PLC001", "dropout-before-batchnorm", "warning", "", "seen", "do")
    assert (finding.at_least("info"), finding.at_least("warning"), finding.at_least("error")) == (True, True, False)
    assert str(finding) == "warning PLC001 dropout-before-batchnorm at the model: seen"
