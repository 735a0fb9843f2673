"""Show GitHub: findings as workflow commands, which a pull request shows next to the class."""

from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.page_url import page_url
from lightning_tricks.doctor.show.show_text import verdict
from lightning_tricks.doctor.show.shown import Shown
from lightning_tricks.doctor.show.source_place import SourcePlace, source_place

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def show_github(report: Shown, otherwise: str | None = None) -> str:
    """Return one workflow command for each finding, ``::error file=model.py,line=12,title=…::…``, and the verdict.

    Args:
        report: the report.
        otherwise: a file for findings that are not in a user-defined class.

    Example:
        >>> from lightning_tricks.doctor.judging.report import Report
        >>> finding = Finding("LOS005", "softmax-single-output", "error", "head", "size 1: all ones", "use a sigmoid")
        >>> print(show_github(Report("Net", [finding])))
        ::error title=LOS005 softmax-single-output::at head: size 1: all ones. Try: use a sigmoid
        Net: not healthy (1 error)
    """
    lines = [_command(finding, source_place(finding, report.evidence, otherwise)) for finding in report.findings]
    return "\n".join([*lines, *report.notes, verdict(report)])


def _command(finding: Finding, place: SourcePlace) -> str:
    properties = {"file": place.file, "line": place.line, "title": f"{finding.code} {finding.name}"}
    given = ",".join(f"{key}={_escape_property(str(value))}" for key, value in properties.items() if value)
    message = f"at {finding.where or 'the model'}: {finding.message.rstrip('.')}. Try: {finding.try_next}"
    see = f"\nSee {url}" if (url := page_url(finding.code)) else ""
    return f"::{_COMMANDS[finding.severity]} {given}::{_escape(message + see)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
