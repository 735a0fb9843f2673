"""Rules: the decorator and the result types for writing a rule.

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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from lightning_tricks.doctor.rules.finding import Severity

Kind = Literal["static", "batch", "run"]

_MARK = "__lightning_tricks_rule__"


@dataclass(frozen=True)
class Symptom:
    """A problem that a rule yields; the rule's code and name are added to make a finding.

    Attributes:
        where: see ``Finding.where``.
        message: see ``Finding.message``.
        try_next: see ``Finding.try_next``.
        severity: the severity, if it differs from that of the rule.
        repeats: the number of places that ``where`` stands for, if the rule has grouped them itself.
    """

    where: str
    message: str
    try_next: str
    severity: Severity | None = None
    repeats: int = 1


@dataclass(frozen=True)
class NotChecked:
    """A rule yields this if it could not check; the reason completes "not checked: ..."."""

    reason: str


@dataclass(frozen=True)
class Observed:
    """A rule yields this to report the number that it judged (``"p = 0.1 to 0.5"``); shown without a finding."""

    text: str


Symptoms = Iterable[Symptom | NotChecked | Observed]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        code: such as ``PLC001``; codes are never reused.
        name: the fault, such as ``dropout-before-batchnorm``, worded so that it reads well after "allow".
        severity: the severity of its findings, unless a symptom has a different one.
        kind: ``static``, from one ``batch``, or during a ``run``.
        needs: the parts of the evidence that it requires: ``trace``, ``step``, ``contracts.frozen``, ...
        preview: whether it is off by default.
        explains: codes of rules whose findings follow from a finding of this rule and become notes.
        check: the function.
        in_run: for a rule of a batch, a function with the same options that checks the facts of a training run.
    """

    code: str
    name: str
    severity: Severity
    kind: Kind
    needs: tuple[str, ...]
    preview: bool
    explains: tuple[str, ...]
    check: Callable[..., Symptoms]
    in_run: Callable[..., Symptoms] | None = None

    @property
    def during_run(self) -> "Rule | None":
        """The rule as it is checked during training, ``None`` if it is not."""
        if self.in_run is not None:
            return replace(self, kind="run", needs=("run",), check=self.in_run, in_run=None)
        return self if self.kind == "run" or "numerics" in self.needs else None

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
        """The text that ``lightning-tricks explain`` prints."""
        return inspect.getdoc(self.check) or ""

    @property
    def title(self) -> str:
        """The first line of the page."""
        return self.page.partition("\n")[0].rstrip(".")

    @property
    def family(self) -> str:
        """The letters of its code, such as ``PLC``."""
        return self.code.rstrip("0123456789")


def rule(
    code: str,
    severity: Severity,
    *,
    kind: Kind,
    needs: tuple[str, ...] = (),
    preview: bool = False,
    explains: tuple[str, ...] = (),
    in_run: Callable[..., Symptoms] | None = None,
) -> Callable[[Callable[..., Symptoms]], Callable[..., Symptoms]]:
    """Turn a function into a rule; see the docstring of this module."""

    def mark(check: Callable[..., Symptoms]) -> Callable[..., Symptoms]:
        name = check.__name__.replace("_", "-")
        setattr(check, _MARK, Rule(code, name, severity, kind, needs, preview, explains, check, in_run))
        return check

    return mark


def rule_of(value: object) -> Rule | None:
    """Return the rule of a decorated function, ``None`` for any other value."""
    found = getattr(value, _MARK, None)
    return found if isinstance(found, Rule) else None
