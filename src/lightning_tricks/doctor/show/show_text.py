"""Show text: a report as lines that fit the terminal, and its verdict in one."""

import shutil
import textwrap

from lightning_tricks.doctor.rules.finding import SEVERITIES, Finding
from lightning_tricks.doctor.show.shown import Shown

_INDENT = " " * 9
_NARROWEST, _WIDEST = 30, 110


def verdict(report: Shown) -> str:
    """Say in one line how the model is.

    Example:
        >>> from lightning_tricks.doctor.judging.report import Report
        >>> verdict(Report("Net", checked=["PLC005", "OPT009"]))
        'Net: healthy (2 rules checked)'
    """
    return f"{report.model}: {'healthy' if report.ok else 'not healthy'} ({counts(report)})"


def counts(report: Shown) -> str:
    """Count the findings by severity; where there are none, the rules."""
    found = [(sum(finding.severity == severity for finding in report.findings), severity) for severity in SEVERITIES]
    words = [count_of(count, severity) for count, severity in found if count]
    return ", ".join(words) or f"{count_of(len(report.checked), 'rule')} checked"


def count_of(count: int, what: str) -> str:
    """Count things in words.

    Example:
        >>> count_of(1, "error"), count_of(2, "error")
        ('1 error', '2 errors')
    """
    return f"{count} {what}{'' if count == 1 or what == 'info' else 's'}"


def show_text(report: Shown, width: int | None = None) -> str:
    """Return a report as text: the verdict, the findings, the worst first, and what was not checked.

    Args:
        report: what the doctor found.
        width: columns; None takes the terminal's.
    """
    columns = min(max((width or shutil.get_terminal_size().columns) - 1, _NARROWEST), _WIDEST)
    blocks = [verdict(report), *(_show_finding(finding, columns) for finding in report.findings)]
    if report.notes:
        blocks.append("\n".join(_wrap(note, columns, then="  ") for note in report.notes))
    return "\n\n".join(blocks)


def _show_finding(finding: Finding, columns: int) -> str:
    head = f"{finding.severity:<8} {finding.code} {finding.name}"
    return "\n".join(
        [
            _wrap(head, columns, then=_INDENT),
            _wrap(f"at {finding.where or 'the model'}: {finding.message}", columns, _INDENT, _INDENT),
            _wrap(f"try: {finding.try_next}", columns, _INDENT, _INDENT + " " * 5),
        ]
    )


def _wrap(text: str, columns: int, first: str = "", then: str = "") -> str:
    return textwrap.fill(text, columns, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
