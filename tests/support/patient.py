"""Patients: for each rule models that it must speak of, and models that it must not.

They stand in `tests/doctor/patients`, in files named as those of the rules. A patient is a function that returns the
arguments of `diagnose`; what is listed in `says` must be in the message of the finding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Build = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Patient:
    code: str
    is_sick: bool
    build: Build
    says: tuple[str, ...]
    severity: str | None

    @property
    def name(self) -> str:
        return f"{self.code}-{self.build.__name__}"


_FOUND: list[Patient] = []


def sick(code: str, *says: str, severity: str | None = None) -> Callable[[Build], Build]:
    """The rule must speak of it, with these words and, where given, this severity."""
    return _mark(code, True, says, severity)


def healthy(code: str) -> Callable[[Build], Build]:
    """The rule must keep quiet."""
    return _mark(code, False, (), None)


def _mark(code: str, is_sick: bool, says: tuple[str, ...], severity: str | None) -> Callable[[Build], Build]:
    def mark(build: Build) -> Build:
        _FOUND.append(Patient(code, is_sick, build, says, severity))
        return build

    return mark


def all_patients() -> list[Patient]:
    if not _FOUND:
        for file in sorted((Path(__file__).parents[1] / "doctor" / "patients").glob("*.py")):
            spec = spec_from_file_location(f"patients_{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            spec.loader.exec_module(module_from_spec(spec))
    return list(_FOUND)
