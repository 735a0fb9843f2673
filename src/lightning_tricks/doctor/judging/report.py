"""Report: the findings of a diagnosis, and the rules that were not checked with the reasons."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.judging.consequences import fix_order
from lightning_tricks.doctor.rules.finding import Finding, Severity
from lightning_tricks.doctor.rules.outcome import Outcome, codes_by_reason
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.rules.rule import Rule
from lightning_tricks.doctor.show.show_html import show_fragment
from lightning_tricks.doctor.show.show_text import show_text


@dataclass(repr=False)
class Report:
    """The result of a diagnosis.

    Attributes:
        model: the model's class.
        findings: sorted by severity, then by what to fix first.
        notes: findings that follow from another one, and rules that were not checked with the reason; one line each.
        checked: the codes of the selected rules.
        evidence: the facts that the rules read; not part of the JSON.
        outcomes: the result of each selected rule: passed, found, ignored, or not checked with the reason.
        known: findings that a baseline accepts; they are not in ``findings``.
        baseline: the name of the baseline file; ``None`` without one.
        rules: the selected rules; not part of the JSON.

    Example:
        >>> report = Report("Net", [Finding("PLC010", "bias-before-batchnorm", "info", "conv", "…", "bias=False")])
        >>> report.ok, report.errors
        (True, [])
        >>> report
        Report('Net', ok=True, findings=['PLC010'])
    """

    model: str
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    outcomes: list[Outcome] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    baseline: str | None = None
    rules: tuple[Rule, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        self.findings = sorted(self.findings, key=fix_order)

    @property
    def ok(self) -> bool:
        """Whether there is no warning and no error."""
        return not self.at_least("warning")

    @property
    def errors(self) -> list[Finding]:
        """The findings of severity ``error``."""
        return self.at_least("error")

    def at_least(self, severity: Severity) -> list[Finding]:
        """Return the findings of at least this severity."""
        return [finding for finding in self.findings if finding.at_least(severity)]

    def to_text(self, *, verbose: bool = False) -> str:
        """Return the report as text; ``verbose`` adds a line for each rule."""
        return show_text(self, verbose=verbose)

    def to_json(self, **arguments: Any) -> str:
        """Return the report as JSON; ``arguments`` are passed to ``json.dumps``."""
        plain = to_plain(replace(self, evidence=None, rules=()))
        del plain["evidence"], plain["rules"]
        judged = [outcome.code for outcome in self.outcomes if outcome.is_judged]
        derived = {"ok": self.ok, "judged": judged, "not_judged": codes_by_reason(self.outcomes)}
        pages = {finding.code: url for finding in self.findings if (url := page_url(finding.code))}
        return json.dumps(plain | derived | ({"pages": pages} if pages else {}), **arguments)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Create a report from the result of :meth:`to_json`."""
        names = {part.name for part in fields(cls)}
        return from_plain(cls, {key: value for key, value in json.loads(text).items() if key in names})

    def __str__(self) -> str:
        return show_text(self)

    def __repr__(self) -> str:
        return f"Report({self.model!r}, ok={self.ok}, findings={[finding.code for finding in self.findings]})"

    def _repr_html_(self) -> str:
        return show_fragment(self)
