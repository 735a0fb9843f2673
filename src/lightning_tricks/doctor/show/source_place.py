"""Source place: the file and line of a finding, relative to the checkout."""

import os
from typing import NamedTuple

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.show.module_tree import home_of


class SourcePlace(NamedTuple):
    """A file, relative to the root of the checkout, and a line in it; ``None`` if unknown."""

    file: str | None = None
    line: int | None = None


def source_place(finding: Finding, evidence: Evidence | None, otherwise: str | None = None) -> SourcePlace:
    """Return the line that raised, or the innermost user-defined class around the finding.

    Args:
        finding: the finding.
        evidence: the evidence of the rules.
        otherwise: a file for findings that are not in a user-defined class.
    """
    fallback = SourcePlace(_relative(otherwise)) if otherwise else SourcePlace()
    if evidence is None:
        return fallback
    error = evidence.error
    if finding.code == "DOC001" and error is not None and error.file:
        return SourcePlace(_relative(error.file), error.line)
    owner = home_of(finding.where, evidence.model)
    while owner is not None and owner.file is None:
        owner = _parent(owner, evidence)
    return SourcePlace(_relative(owner.file), owner.line) if owner and owner.file else fallback


def _parent(module: ModuleFact, evidence: Evidence) -> ModuleFact | None:
    return evidence.model.module(module.path.rpartition(".")[0]) if module.path else None


def _relative(file: str) -> str:
    """Return a path relative to the root of the checkout, with slashes."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR") or os.getcwd()
    try:
        path = os.path.relpath(file, root)
    except ValueError:  # on another drive
        return file
    return file if path.startswith(os.pardir) else path.replace(os.sep, "/")
