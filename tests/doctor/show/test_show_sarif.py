"""A SARIF 2.1.0 log: the structure that the standard and code scanning ask for, checked by hand."""

import json
import linecache
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from lightning_tricks import Finding, Report, diagnose
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.show.show_sarif import show_sarif

ROOT = __file__.partition("/tests/")[0]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Dropout(0.9), nn.Dropout(1.0), nn.Dropout(0.1)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", ROOT)


def log_of(report: Report, otherwise: str | None = None) -> dict[str, Any]:
    return json.loads(show_sarif(report, "1.2.3", otherwise))


def run_of(report: Report, otherwise: str | None = None) -> dict[str, Any]:
    log = log_of(report, otherwise)
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    return run


def test_the_tool_states_its_rules_with_their_pages_and_levels() -> None:
    report = diagnose(Net())
    driver = run_of(report)["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("lightning-tricks doctor", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == report.checked
    pages = {rule.code: rule for rule in all_rules()}
    for rule in driver["rules"]:
        known = pages[rule["id"]]
        assert rule["name"] == known.name
        assert rule["shortDescription"]["text"] == known.title
        assert "Why it matters:" in rule["help"]["text"]
        assert rule["help"]["text"] in rule["help"]["markdown"]
        expected = {"error": "error", "warning": "warning", "info": "note"}[known.severity]
        assert rule["defaultConfiguration"] == {"level": expected}


def test_a_result_has_its_rule_level_message_place_and_fingerprint() -> None:
    report = diagnose(Net(), select=["PLC005"])
    run = run_of(report)
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert result["ruleId"] == finding.code
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == finding.code
        assert finding.message in result["message"]["text"]
        assert result["message"]["text"].endswith(f"Try: {finding.try_next}")
        (location,) = result["locations"]
        assert location["logicalLocations"][0]["fullyQualifiedName"] == finding.where
        place = location["physicalLocation"]
        uri = {"uri": "tests/doctor/show/test_show_sarif.py", "uriBaseId": "%SRCROOT%"}
        assert place["artifactLocation"] == uri
        assert linecache.getline(__file__, place["region"]["startLine"]).startswith("class Net")


def test_fingerprints_are_distinct_and_stay_when_numbers_and_blocks_change() -> None:
    def prints(report: Report) -> list[str]:
        return [result["partialFingerprints"]["lightningTricks/v1"] for result in run_of(report)["results"]]

    two = [Finding("PLC005", "", "info", f"net.{i}", f"p = 0.{i}", "") for i in (1, 2)]
    assert len(set(prints(Report("Net", two)))) == 2
    later = [replace(finding, where=f"net.{i + 7}", message="p = 0.9") for i, finding in enumerate(two)]
    assert prints(Report("Net", later)) == prints(Report("Net", two))
    assert prints(Report("Net", [replace(two[0], where="body.1")])) != prints(Report("Net", two[:1]))


def test_a_finding_in_no_class_of_the_users_is_placed_in_the_targets_file() -> None:
    report = diagnose(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.9)), select=["PLC005"])
    assert "physicalLocation" not in run_of(report)["results"][0]["locations"][0]
    (result,) = run_of(report, f"{ROOT}/my models/net.py")["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20models/net.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 1},
    }
    (outside,) = run_of(report, "/elsewhere/net.py")["results"]
    assert outside["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///elsewhere/net.py"}


def test_new_and_known_findings_are_told_apart() -> None:
    known = Finding("PLC005", "", "info", "a", "p", "")
    report = Report("Net", [replace(known, where="b")], known=[known], baseline="base.json")
    new, old = run_of(report)["results"]
    assert new["baselineState"] == "new"
    assert "suppressions" not in new
    assert old["baselineState"] == "unchanged"
    assert old["suppressions"] == [{"kind": "external", "justification": "accepted in base.json"}]
    assert "baselineState" not in run_of(Report("Net", [known]))["results"][0]


def test_notes_and_what_was_not_judged_are_in_the_run() -> None:
    report = diagnose(Net(), select=["LOS001"])
    run = run_of(report)
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    notes = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert notes == report.notes
    assert run["properties"]["notJudged"] == {"no batch was given": ["LOS001"]}
    assert run["properties"]["verdict"].startswith("Net: healthy (")


def test_a_report_read_from_a_file_has_the_rules_that_found_something() -> None:
    again = Report.from_json(diagnose(Net(), select=["PLC005"]).to_json())
    assert [rule["id"] for rule in run_of(again)["tool"]["driver"]["rules"]] == ["PLC005"]
