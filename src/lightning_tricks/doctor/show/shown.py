"""What is shown of a report: the attributes that every form of output reads."""

from collections.abc import Sequence
from typing import Protocol

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import Outcome
from lightning_tricks.doctor.rules.rule import Rule


class Shown(Protocol):
    """A report, as its readers see it."""

    @property
    def model(self) -> str:
        """The model's class."""

    @property
    def findings(self) -> Sequence[Finding]:
        """The findings, the worst first."""

    @property
    def notes(self) -> Sequence[str]:
        """What was not checked and why; a line each."""

    @property
    def checked(self) -> Sequence[str]:
        """The codes of the rules that were asked for."""

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """What became of each rule."""

    @property
    def known(self) -> Sequence[Finding]:
        """The findings that a baseline holds."""

    @property
    def baseline(self) -> str | None:
        """The name of the baseline's file."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules that were asked for, if they were kept."""

    @property
    def evidence(self) -> Evidence | None:
        """What the rules read, if it was kept."""

    @property
    def ok(self) -> bool:
        """Whether nothing is at warning or above."""
