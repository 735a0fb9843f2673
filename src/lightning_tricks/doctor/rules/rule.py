"""Rules: how one is written.

A rule is a pure function of the evidence. Its name is the rule's name, its keyword arguments are its options with their
defaults, and its docstring is its page, the only copy::

    @rule("LOS005", "error", kind="batch", needs=("trace",))
    def softmax_single_output(evidence: Evidence) -> Symptoms:
        '''Softmax over a single output.
        ...
        '''
        yield Symptom(where, message, try_next)
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lightning_tricks.doctor.rules.finding import Severity

Kind = Literal["static", "batch", "run"]

_MARK = "__lightning_tricks_rule__"


@dataclass(frozen=True)
class Symptom:
    """What a rule yields: a finding to which the rule's code and name are still to be added.

    Attributes:
        where: as ``Finding.where``.
        message: as ``Finding.message``.
        try_next: as ``Finding.try_next``.
        severity: where it is not the rule's own.
        repeats: how many places ``where`` stands for, if the rule has put them together itself.
    """

    where: str
    message: str
    try_next: str
    severity: Severity | None = None
    repeats: int = 1


@dataclass(frozen=True)
class NotChecked:
    """What a rule yields where it could not look: the reason, as it ends the sentence "not checked: …"."""

    reason: str


@dataclass(frozen=True)
class Observed:
    """What a rule yields to state the number that it judged, ``"p = 0.1 to 0.5"``; shown where it finds nothing."""

    text: str


Symptoms = Iterable[Symptom | NotChecked | Observed]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        code: ``PLC001``; never used again.
        name: ``dropout-before-batchnorm``: the sickness, so that it reads well after "allow".
        severity: of its findings, unless a symptom says otherwise.
        kind: ``static``, from one ``batch``, or during a ``run``.
        needs: parts of the evidence without which it is not checked: ``trace``, ``step``, ``contracts.frozen`` …
        preview: off unless asked for.
        explains: codes of the rules whose findings follow from one of this rule's: they are told of, not listed.
        check: the function.
    """

    code: str
    name: str
    severity: Severity
    kind: Kind
    needs: tuple[str, ...]
    preview: bool
    explains: tuple[str, ...]
    check: Callable[..., Symptoms]

    @property
    def options(self) -> dict[str, Any]:
        """Its options and their defaults."""
        return dict(self._defaults)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        parameters = inspect.signature(self.check).parameters.values()
        return {
            parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
        }

    @property
    def page(self) -> str:
        """What ``lightning-tricks explain`` prints."""
        return inspect.getdoc(self.check) or ""

    @property
    def title(self) -> str:
        """The first line of the page."""
        return self.page.partition("\n")[0].rstrip(".")

    @property
    def family(self) -> str:
        """The letters of its code."""
        return self.code.rstrip("0123456789")


def rule(
    code: str,
    severity: Severity,
    *,
    kind: Kind,
    needs: tuple[str, ...] = (),
    preview: bool = False,
    explains: tuple[str, ...] = (),
) -> Callable[[Callable[..., Symptoms]], Callable[..., Symptoms]]:
    """Make a rule of a function; see the head of this file."""

    def mark(check: Callable[..., Symptoms]) -> Callable[..., Symptoms]:
        name = check.__name__.replace("_", "-")
        setattr(check, _MARK, Rule(code, name, severity, kind, needs, preview, explains, check))
        return check

    return mark


def rule_of(value: object) -> Rule | None:
    """Return the rule that a function was made, if it was."""
    found = getattr(value, _MARK, None)
    return found if isinstance(found, Rule) else None
