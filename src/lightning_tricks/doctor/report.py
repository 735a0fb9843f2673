"""Report: the findings of one look at a model, what was not checked, and why."""

import html
import json
from dataclasses import dataclass, field, replace
from typing import Any

from lightning_tricks.doctor.evidence import Evidence
from lightning_tricks.doctor.finding import SEVERITIES, Finding, Severity
from lightning_tricks.doctor.plain import from_plain, to_plain


@dataclass
class Report:
    """What the doctor found.

    Attributes:
        model: the model's class.
        findings: the worst first.
        notes: what was not checked, and why; a line each.
        checked: the codes of the rules that were asked for.
        evidence: what the rules read; not a part of the JSON.

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

    def __post_init__(self) -> None:
        self.findings = sorted(self.findings, key=lambda one: (SEVERITIES.index(one.severity), one.code))

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
        return [one for one in self.findings if one.at_least(severity)]

    def to_json(self, **arguments: Any) -> str:
        """Return it as JSON; ``arguments`` go to ``json.dumps``."""
        plain = to_plain(replace(self, evidence=None)) | {"ok": self.ok}
        del plain["evidence"]
        return json.dumps(plain, **arguments)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read what :meth:`to_json` wrote."""
        plain = json.loads(text)
        return from_plain(cls, {key: value for key, value in plain.items() if key != "ok"})

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.findings)} findings"]
        for one in self.findings:
            lines += [str(one), f"        try: {one.try_next}"]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
