"""Report: the findings of one look at a model, what was not checked, and why."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.judging.consequences import fix_order
from lightning_tricks.doctor.rules.finding import Finding, Severity
from lightning_tricks.doctor.rules.outcome import Outcome, codes_by_reason
from lightning_tricks.doctor.rules.rule import Rule
from lightning_tricks.doctor.show.show_html import show_fragment
from lightning_tricks.doctor.show.show_text import show_text


@dataclass
class Report:
    """What the doctor found.

    Attributes:
        model: the model's class.
        findings: the worst first, and among these what to mend first.
        notes: what follows from a finding, and what was not checked and why; a line each.
        checked: the codes of the rules that were asked for.
        evidence: what the rules read; not a part of the JSON.
        outcomes: what became of each of these: passed, found, ignored, or not checked and why.
        known: findings that a baseline holds, and that are not among ``findings``.
        baseline: the name of the baseline's file, ``None`` where there is none.
        rules: the rules that were asked for; not a part of the JSON.

    Example:
        >>> report = Report("Net", [Finding("PLC010", "bias-before-batchnorm", "info", "conv", "…", "bias=False")])
        >>> report.ok, report.errors
        (True, [])
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
        """Whether nothing is at warning or above."""
        return not self.at_least("warning")

    @property
    def errors(self) -> list[Finding]:
        """The findings that make a result wrong."""
        return self.at_least("error")

    def at_least(self, severity: Severity) -> list[Finding]:
        """Return the findings as bad as ``severity``, or worse."""
        return [finding for finding in self.findings if finding.at_least(severity)]

    def to_text(self, *, verbose: bool = False) -> str:
        """Return what ``print`` shows; ``verbose`` adds a line for each rule."""
        return show_text(self, verbose=verbose)

    def to_json(self, **arguments: Any) -> str:
        """Return it as JSON; ``arguments`` go to ``json.dumps``."""
        plain = to_plain(replace(self, evidence=None, rules=()))
        del plain["evidence"], plain["rules"]
        judged = [outcome.code for outcome in self.outcomes if outcome.is_judged]
        derived = {"ok": self.ok, "judged": judged, "not_judged": codes_by_reason(self.outcomes)}
        return json.dumps(plain | derived, **arguments)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read what :meth:`to_json` wrote."""
        names = {part.name for part in fields(cls)}
        return from_plain(cls, {key: value for key, value in json.loads(text).items() if key in names})

    def __str__(self) -> str:
        return show_text(self)

    def _repr_html_(self) -> str:
        return show_fragment(self)
