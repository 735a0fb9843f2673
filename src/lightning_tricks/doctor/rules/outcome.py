"""Outcome: the result of one rule in one diagnosis."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "found", "ignored", "not checked"]


@dataclass(frozen=True)
class Outcome:
    """The result of one rule.

    Attributes:
        code: the rule's code.
        name: the rule's name.
        status: ``found`` (there are findings), ``ignored`` (all findings are ignored), ``passed`` or ``not checked``.
        detail: the finding, the observed number, or the reason; empty if there is none.
    """

    code: str
    name: str
    status: Status
    detail: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether the rule was checked."""
        return self.status != "not checked"

    def __str__(self) -> str:
        return f"{self.status:<11} {self.code} {self.name}{f': {self.detail}' if self.detail else ''}"


def codes_by_reason(outcomes: Iterable[Outcome]) -> dict[str, list[str]]:
    """Return the reasons why rules were not checked with the codes of these rules, the most frequent reason first.

    Example:
        >>> outcomes = [Outcome("A1", "a", "passed"), Outcome("B1", "b", "not checked", "no batch was given")]
        >>> codes_by_reason(outcomes)
        {'no batch was given': ['B1']}
    """
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        if not outcome.is_judged:
            reasons.setdefault(outcome.detail, []).append(outcome.code)
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))
