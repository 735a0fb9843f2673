"""Consequences: turn findings that follow from another one into notes, and sort findings by what to fix first.

Within a severity, causes come before consequences: data before losses, losses before the model, the model before the
optimizer, and behavior, a symptom of all of them, last.
"""

from collections.abc import Iterable

from lightning_tricks.doctor.rules.finding import SEVERITIES, Finding
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule

_FIX_FIRST = ("DOC", "CON", "DAT", "NUM", "LOS", "INI", "ACT", "PLC", "GRD", "OPT", "BEH", "RUN", "TRF", "SIZ")


def fix_order(finding: Finding) -> tuple[int, int, str]:
    """Return the key that sorts findings by what to fix first.

    Example:
        >>> codes = ["BEH001", "INI001", "DAT001"]
        >>> findings = [Finding(code, "", "error", "", "", "") for code in codes]
        >>> [finding.code for finding in sorted(findings, key=fix_order)]
        ['DAT001', 'INI001', 'BEH001']
    """
    return SEVERITIES.index(finding.severity), _place(finding), finding.code


def _place(finding: Finding) -> int:
    family = finding.code.rstrip("0123456789")
    return _FIX_FIRST.index(family) if family in _FIX_FIRST else len(_FIX_FIRST)


def group_consequences(findings: Iterable[Finding], rules: Iterable[Rule]) -> tuple[list[Finding], list[str]]:
    """Return the independent findings, and a note for each finding that follows from one of them.

    ``explains`` of a rule lists the rules whose findings follow from its own. A finding is never grouped under a less
    severe one.
    """
    explains = {rule.code: rule.explains for rule in rules}
    kept: list[Finding] = []
    notes: list[str] = []
    findings = sorted(findings, key=fix_order)
    for finding in findings:
        causes = [
            other
            for other in findings
            if finding.code in explains.get(other.code, ()) and other.at_least(finding.severity)
        ]
        cause = min(causes, key=_place, default=None)
        if cause is None:
            kept.append(finding)
        else:
            notes.append(f"Follows from {cause.code} at {cause.where or 'the model'}: {finding}")
    return kept, notes


def fold_repetitions(late: Iterable[Finding], earlier: Iterable[Finding]) -> tuple[list[Finding], list[str]]:
    """Return the new findings of a run, and a note for each that repeats an earlier finding.

    A finding repeats an earlier one about the same place whose rule names its code in ``explains``: a layer that gets
    no gradient does not change.

    Example:
        >>> unused = Finding("BEH006", "param-without-grad", "warning", "spare", "no gradient", "use it")
        >>> still = Finding("RUN008", "params-not-changing", "warning", "spare", "did not change", "use it")
        >>> fold_repetitions([still], [unused])[0]
        []
    """
    known = list(earlier)
    explains = {rule.code: rule.explains for rule in all_rules()}
    kept: list[Finding] = []
    notes: list[str] = []
    for finding in late:
        causes = (
            other
            for other in known
            if other.where == finding.where
            and finding.code in explains.get(other.code, ())
            and other.at_least(finding.severity)
        )
        cause = next(causes, None)
        if cause is None:
            kept.append(finding)
        else:
            notes.append(f"Follows from {cause.code} at {cause.where or 'the model'}: {finding}")
    return kept, notes
