"""Baseline: a file of the findings that a project has accepted, so that only new ones fail."""

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from lightning_tricks.core.atomic_files import replace_file
from lightning_tricks.doctor.judging.report import Report
from lightning_tricks.doctor.rules.finding import SEVERITIES, Finding, Severity

_TOOL, _VERSION = "lightning-tricks doctor", 1
_NEVER = ("DOC001",)  # a model that cannot be checked hides all its other findings


@dataclass(frozen=True)
class Accepted:
    """An entry of a baseline: :attr:`Finding.fingerprint` and the other attributes of the finding."""

    fingerprint: str
    code: str
    name: str
    severity: Severity
    where: str

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is the accepted one and not more severe."""
        rank = SEVERITIES.index
        return self.fingerprint == finding.fingerprint and rank(self.severity) <= rank(finding.severity)


def read_baseline(file: Path) -> list[Accepted]:
    """Return the entries of a baseline.

    Raises:
        ValueError: the file is damaged, or it is not a baseline of this version; the message names it.
        FileNotFoundError: the file does not exist.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"The baseline {file} does not exist. `--update-baseline` creates it.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The baseline {file} is damaged: it is not valid JSON ({error}).") from None
    if not isinstance(content, dict) or content.get("tool") != _TOOL:
        raise ValueError(f"{file} is not a baseline of `{_TOOL}`; pass another file to `--baseline`.")
    if content.get("version") != _VERSION:
        raise ValueError(
            f"The baseline {file} has version {content.get('version')!r}, but only version {_VERSION} is supported."
        )
    entries = content.get("findings")
    if not isinstance(entries, list):
        raise ValueError(f"The baseline {file} is damaged: `findings` must be a list, got {entries!r}.")
    return [_entry(entry, file) for entry in entries]


def write_baseline(file: Path, entries: Iterable[Accepted]) -> None:
    """Write a baseline atomically: a reader sees either the old file or the new one."""
    ordered = sorted(entries, key=lambda entry: (entry.code, entry.where, entry.severity))
    content = {"tool": _TOOL, "version": _VERSION, "findings": [asdict(entry) for entry in ordered]}
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        os.chmod(name, file.stat().st_mode if file.exists() else 0o666 & ~_umask())
        replace_file(name, file)
    except BaseException:
        os.unlink(name)
        raise


def apply_baseline(report: Report, entries: Iterable[Accepted], name: str) -> Report:
    """Return a report whose findings are those that the baseline does not accept.

    Args:
        report: the report of a diagnosis; a note is added for each entry that is no longer found although its rule was
            checked.
        entries: the entries of the baseline. An entry accepts one finding; a second finding of the same kind is new.
        name: the name of the baseline in the report.
    """
    left = list(entries)
    places = {entry.where for entry in left}
    first = sorted(report.findings, key=lambda finding: finding.where not in places)
    taken = [finding for finding in first if _take_entry_for(finding, left)]
    known = [finding for finding in report.findings if any(finding is other for other in taken)]
    new = [finding for finding in report.findings if not any(finding is other for other in taken)]
    for finding in new:  # a finding that is now more severe is new, and its entry is not stale
        worse = next((entry for entry in left if entry.fingerprint == finding.fingerprint), None)
        left = [entry for entry in left if entry is not worse]
    stale = [entry for entry in left if _is_judged(entry, report)]
    notes = [
        f"Stale in {name}: {entry.code} {entry.name} at {entry.where or 'the model'} is no longer found; "
        "--update-baseline removes it."
        for entry in stale
    ]
    return replace(report, findings=new, known=known, notes=[*report.notes, *notes], baseline=name)


def renew_baseline(report: Report, entries: Iterable[Accepted]) -> list[Accepted]:
    """Return the entries that accept all findings of a report; entries of rules that were not checked are kept."""
    kept = [entry for entry in entries if not _is_judged(entry, report) and not _is_found(entry, report)]
    found = [finding for finding in report.findings if finding.code not in _NEVER]
    return kept + [Accepted(each.fingerprint, each.code, each.name, each.severity, each.where) for each in found]


def _take_entry_for(finding: Finding, left: list[Accepted]) -> bool:
    """Return whether an entry accepts a finding, preferring one of the same place, and remove it from the list."""
    fitting = [entry for entry in left if entry.covers(finding) and finding.code not in _NEVER]
    entry = min(fitting, key=lambda entry: entry.where != finding.where, default=None)
    if entry is not None:
        left.remove(entry)  # equal entries are interchangeable
    return entry is not None


def _is_judged(entry: Accepted, report: Report) -> bool:
    return any(outcome.code == entry.code and outcome.is_judged for outcome in report.outcomes)


def _is_found(entry: Accepted, report: Report) -> bool:
    return any(finding.fingerprint == entry.fingerprint for finding in report.findings)


def _entry(plain: Any, file: Path) -> Accepted:
    names = [part.name for part in fields(Accepted)]
    fits = (
        isinstance(plain, dict) and sorted(plain) == sorted(names) and all(isinstance(v, str) for v in plain.values())
    )
    if not fits or plain["severity"] not in get_args(Severity):
        raise ValueError(f"The baseline {file} is damaged: an entry must have {', '.join(names)}, got {plain!r}.")
    return Accepted(**plain)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
