"""Show text: a report as lines that fit the terminal, and its verdict in one line."""

import shutil
import textwrap

from lightning_tricks.doctor.rules.finding import SEVERITIES, Finding
from lightning_tricks.doctor.rules.outcome import codes_by_reason
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.show.shown import Shown

_REASONS = 2
_INDENT = " " * 9
_NARROWEST, _WIDEST = 30, 110


def verdict(report: Shown) -> str:
    """Return the verdict on a model in one line: findings, checked rules, and unchecked rules with the reasons.

    Example:
        >>> from lightning_tricks.doctor.judging.report import Report
        >>> from lightning_tricks.doctor.rules.outcome import Outcome
        >>> outcomes = [Outcome("PLC005", "a", "passed"), Outcome("LOS001", "b", "not checked", "no batch was given")]
        >>> verdict(Report("Net", outcomes=outcomes))
        'Net: healthy (1 rule judged, 1 not: no batch was given)'
    """
    return f"{report.model}: {'healthy' if report.ok else 'not healthy'} ({counts(report)})"


def counts(report: Shown) -> str:
    """Return the number of findings by severity, of findings that a baseline accepts, and of rules."""
    found = [(sum(finding.severity == severity for finding in report.findings), severity) for severity in SEVERITIES]
    new = "" if report.baseline is None else "new "
    words = [count_of(count, f"{new}{severity}") for count, severity in found if count]
    words += [f"{len(report.known)} known"] if report.known else []
    return "; ".join(part for part in (", ".join(words), _coverage(report)) if part)


def _coverage(report: Shown) -> str:
    """Return the number of checked rules, and of unchecked rules with the reasons."""
    if not report.outcomes:
        return "" if report.findings else f"{count_of(len(report.checked), 'rule')} checked"
    judged = sum(outcome.is_judged for outcome in report.outcomes)
    text = f"{count_of(judged, 'rule')} judged"
    reasons = list(codes_by_reason(report.outcomes).items())
    if not reasons:
        return text
    shown = [f"{reason} ({len(codes)})" for reason, codes in reasons[:_REASONS]]
    rest = sum(len(codes) for _, codes in reasons[_REASONS:])
    why = reasons[0][0] if len(reasons) == 1 else ", ".join([*shown, *([f"other reasons ({rest})"] if rest else [])])
    return f"{text}, {len(report.outcomes) - judged} not: {why}"


def count_of(count: int, what: str) -> str:
    """Return a count with its noun.

    Example:
        >>> count_of(1, "error"), count_of(2, "error")
        ('1 error', '2 errors')
    """
    return f"{count} {what}{'' if count == 1 or what.endswith('info') else 's'}"


def show_text(report: Shown, width: int | None = None, *, verbose: bool = False) -> str:
    """Return a report as text: the verdict, the findings, most severe first, and what was not checked.

    Args:
        report: the report.
        width: number of columns; None uses the terminal's width.
        verbose: add a line for each rule with its outcome and the number that it observed.
    """
    columns = min(max((width or shutil.get_terminal_size().columns) - 1, _NARROWEST), _WIDEST)
    new = report.baseline is not None
    blocks = [_wrap(verdict(report), columns, then="  ")]
    blocks += [_show_finding(finding, columns, new) for finding in report.findings]
    verbose = verbose and bool(report.outcomes)
    notes = [note for note in report.notes if not (verbose and note.startswith("Not checked: "))]  # shown for each rule
    if notes:
        blocks.append("\n".join(_wrap(note, columns, then="  ") for note in notes))
    if verbose:
        blocks.append("\n".join(_wrap(str(outcome), columns, then=" " * 12) for outcome in report.outcomes))
    return "\n\n".join(blocks)


def _show_finding(finding: Finding, columns: int, new: bool) -> str:
    head = f"{finding.severity:<8} {finding.code} {finding.name}{' (new)' if new else ''}"
    lines = [
        _wrap(head, columns, then=_INDENT),
        _wrap(f"at {finding.where or 'the model'}: {finding.message}", columns, _INDENT, _INDENT),
        _wrap(f"try: {finding.try_next}", columns, _INDENT, _INDENT + " " * 5),
    ]
    if url := page_url(finding.code):
        lines.append(f"{_INDENT}see: {url}")  # not wrapped, so that a terminal recognizes it
    return "\n".join(lines)


def _wrap(text: str, columns: int, first: str = "", then: str = "") -> str:
    return textwrap.fill(text, columns, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
