"""What follows from one cause stands under it, and what to mend first stands first."""

import torch
from doctor_inputs import batch, lit, net
from healthy_nets import mlp
from torch import nn

from lightning_tricks.doctor.judging.consequences import group_consequences
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.registry import all_rules


def finding(code: str, severity: str) -> Finding:
    return Finding(code, code.lower(), severity, "here", "seen", "try")


def zeros() -> nn.Module:
    model = mlp(8, 8)(4, 3)
    nn.init.zeros_(model[3].weight)
    return lit(model)


def test_zero_weights_explain_that_inputs_are_ignored() -> None:
    torch.manual_seed(0)
    report = diagnose(zeros(), batch(), select=["INI001", "BEH001", "BEH006"])
    assert [finding.code for finding in report.findings] == ["INI001"]
    assert any(note.startswith("Follows from INI001 at net.3: error   BEH001") for note in report.notes)


def test_alone_a_consequence_is_a_finding() -> None:
    report = diagnose(zeros(), batch(), select=["BEH001"])
    assert [finding.code for finding in report.findings] == ["BEH001"]


def test_unscaled_inputs_explain_the_first_loss() -> None:
    x, y = batch()
    report = diagnose(lit(net()), (x * 300, y))
    assert [finding.code for finding in report.at_least("warning")] == ["DAT001"]
    assert any("INI005" in note for note in report.notes)


def test_nothing_grave_is_put_under_something_milder() -> None:
    kept, notes = group_consequences([finding("INI001", "info"), finding("BEH001", "error")], all_rules())
    assert [finding.code for finding in kept] == ["BEH001", "INI001"]
    assert not notes


def test_findings_stand_in_the_order_in_which_to_mend_them() -> None:
    codes = ["BEH001", "OPT001", "PLC001", "INI001", "LOS001", "DAT001", "DOC001"]
    report = Report("Net", [finding("RUN001", "error"), *(finding(code, "warning") for code in codes)])
    assert [finding.code for finding in report.findings] == ["RUN001", *reversed(codes)]


def test_rules_explain_others_that_exist_and_do_not_explain_them_back() -> None:
    rules = {rule.code: rule for rule in all_rules()}
    for rule in rules.values():
        for code in rule.explains:
            assert rule.code not in rules[code].explains
