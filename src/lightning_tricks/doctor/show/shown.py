"""Shown: the attributes of a report that every output format reads."""

from collections.abc import Sequence
from typing import Protocol

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.finding import Finding
from lightning_tricks.doctor.rules.outcome import Outcome
from lightning_tricks.doctor.rules.rule import Rule


class Shown(Protocol):
    """The attributes of a report that are shown."""

    @property
    def model(self) -> str:
        """The model's class."""

    @property
    def findings(self) -> Sequence[Finding]:
        """The findings, most severe first."""

    @property
    def notes(self) -> Sequence[str]:
        """What was not checked and why, one line each."""

    @property
    def checked(self) -> Sequence[str]:
        """The codes of the selected rules."""

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """The outcome of each rule."""

    @property
    def known(self) -> Sequence[Finding]:
        """The findings that a baseline accepts."""

    @property
    def baseline(self) -> str | None:
        """The name of the baseline file."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The selected rules, if kept."""

    @property
    def evidence(self) -> Evidence | None:
        """The evidence, if it was kept."""

    @property
    def ok(self) -> bool:
        """Whether there is no warning and no error."""
