"""Show GitHub: findings as workflow commands, which a pull request shows beside the class they are about."""

import os

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.show.module_tree import home_of
from lightning_tricks.doctor.show.show_text import verdict
from lightning_tricks.doctor.show.shown import Shown

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def show_github(report: Shown) -> str:
    """Return one workflow command a finding, ``::error file=model.py,line=12,title=…::…``, and the verdict.

    Example:
        >>> from lightning_tricks.doctor.judging.report import Report
        >>> finding = Finding("LOS005", "softmax-single-output", "error", "head", "size 1: all ones", "use a sigmoid")
        >>> print(show_github(Report("Net", [finding])))
        ::error title=LOS005 softmax-single-output::at head: size 1: all ones. Try: use a sigmoid
        Net: not healthy (1 error)
    """
    lines = [_command(finding, report.evidence) for finding in report.findings]
    return "\n".join([*lines, *report.notes, verdict(report)])


def _command(finding: Finding, evidence: Evidence | None) -> str:
    file, line = _place(finding, evidence)
    properties = {"file": file, "line": line, "title": f"{finding.code} {finding.name}"}
    given = ",".join(f"{key}={_escape_property(str(value))}" for key, value in properties.items() if value)
    message = f"at {finding.where or 'the model'}: {finding.message.rstrip('.')}. Try: {finding.try_next}"
    return f"::{_COMMANDS[finding.severity]} {given}::{_escape(message)}"


def _place(finding: Finding, evidence: Evidence | None) -> tuple[str | None, int | None]:
    """Return where an annotation belongs: the line that raised, else the innermost class that is the user's."""
    if evidence is None:
        return None, None
    error = evidence.error
    if finding.code == "DOC001" and error is not None and error.file:
        return _relative(error.file), error.line
    owner = home_of(finding.where, evidence.model)
    while owner is not None and owner.file is None:
        owner = _parent(owner, evidence)
    return (_relative(owner.file), owner.line) if owner and owner.file else (None, None)


def _parent(module: ModuleFact, evidence: Evidence) -> ModuleFact | None:
    return evidence.model.module(module.path.rpartition(".")[0]) if module.path else None


def _relative(file: str) -> str:
    """Return a path as a pull request knows it, from the root of the checkout."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.getcwd()
    try:
        path = os.path.relpath(file, root)
    except ValueError:  # on another drive
        return file
    return file if path.startswith(os.pardir) else path.replace(os.sep, "/")


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
