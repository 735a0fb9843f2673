"""Show SARIF: a report in the Static Analysis Results Interchange Format 2.1.0 (OASIS 2020), for code scanning."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import codes_by_reason
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule
from lightning_tricks.doctor.show.show_text import verdict
from lightning_tricks.doctor.show.shown import Shown
from lightning_tricks.doctor.show.source_place import SourcePlace, source_place

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_FINGERPRINT = "lightningTricks/v1"

Json = dict[str, Any]


def show_sarif(report: Shown, version: str, otherwise: str | None = None) -> str:
    """Return a SARIF log with one run: the rules with their pages, and a result for each finding.

    Findings that a baseline accepts are also results: unchanged and suppressed.

    Args:
        report: the report.
        version: the version of this package.
        otherwise: a file for findings that are not in a user-defined class.

    Example:
        >>> from lightning_tricks.doctor.judging.report import Report
        >>> finding = Finding("LOS005", "softmax-single-output", "error", "head", "size 1: all ones", "use a sigmoid")
        >>> log = json.loads(show_sarif(Report("Net", [finding]), "1.0"))
        >>> log["version"], log["runs"][0]["results"][0]["ruleId"]
        ('2.1.0', 'LOS005')
    """
    findings = [*report.findings, *report.known]
    rules = _rules_of(report, findings)
    index = {rule.code: i for i, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    results = []
    for i, finding in enumerate(findings):
        seen[finding.fingerprint] += 1
        result = _result(finding, source_place(finding, report.evidence, otherwise))
        if finding.code in index:
            result["ruleIndex"] = index[finding.code]
        result["partialFingerprints"] = {_FINGERPRINT: f"{finding.fingerprint}:{seen[finding.fingerprint]}"}
        results.append(result | _state(report, is_known=i >= len(report.findings)))
    driver = {
        "name": "lightning-tricks doctor",
        "semanticVersion": version,
        "version": version,
        "rules": [_descriptor(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"lightning-tricks-doctor/{report.model}/"},
        "invocations": [_invocation(report.notes)],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"verdict": verdict(report), "notJudged": codes_by_reason(report.outcomes)},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False)


def _rules_of(report: Shown, findings: Iterable[Finding]) -> list[Rule]:
    """Return the selected rules; for a report that was read from a file, the rules with findings."""
    found = {finding.code for finding in findings}
    return list(report.rules) or [rule for rule in all_rules() if rule.code in found]


def _descriptor(rule: Rule) -> Json:
    page = rule.page.replace("``", "`")
    url = page_url(rule.code)
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.title or rule.name},
        "fullDescription": {"text": rule.title or rule.name},
        "help": {"text": page or rule.name, "markdown": f"```text\n{page or rule.name}\n```"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.family, rule.kind], "preview": rule.preview},
    } | ({"helpUri": url} if url else {})


def _result(finding: Finding, place: SourcePlace) -> Json:
    where = finding.where or "the model"
    location: Json = {"logicalLocations": [{"fullyQualifiedName": where, "kind": "member"}]}
    if place.file is not None:
        location["physicalLocation"] = {
            "artifactLocation": _artifact(place.file),
            "region": {"startLine": place.line or 1},
        }
    message = f"at {where}: {finding.message.rstrip('.')}. Try: {finding.try_next}"
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": message},
        "locations": [location],
    }


def _artifact(file: str) -> Json:
    """Return a location relative to the root of the checkout, or the URI of a file outside it."""
    if Path(file).is_absolute():
        return {"uri": Path(file).as_uri()}
    return {"uri": quote(file), "uriBaseId": "%SRCROOT%"}


def _state(report: Shown, is_known: bool) -> Json:
    if report.baseline is None:
        return {}
    if not is_known:
        return {"baselineState": "new"}
    accepted = {"kind": "external", "justification": f"accepted in {report.baseline}"}
    return {"baselineState": "unchanged", "suppressions": [accepted]}


def _invocation(notes: Sequence[str]) -> Json:
    notifications = [{"level": "note", "message": {"text": note}} for note in notes]
    return {"executionSuccessful": True, "toolExecutionNotifications": notifications}
