"""Ignores: findings that a comment in the source or a pattern in the arguments excludes."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape

from lightning_tricks.doctor.facts.model_facts import ModelFacts
from lightning_tricks.doctor.rules.rule import Rule


@dataclass(frozen=True)
class Ignore:
    """Ignore the findings of a rule at a place and everything below it.

    Attributes:
        word: a rule's code, its prefix, or a rule's name.
        pattern: a glob pattern for ``Finding.where``.
    """

    word: str
    pattern: str

    def covers(self, rule: Rule, where: str) -> bool:
        """Return whether a finding of this rule at this place is ignored.

        Example:
            >>> from lightning_tricks.doctor.rules.registry import find_rule
            >>> rule, ignore = find_rule("PLC005"), Ignore("PLC", "encoder.*")
            >>> ignore.covers(rule, "encoder.layers.0.drop"), ignore.covers(rule, "head.drop")
            (True, False)
        """
        if not self.word or not (rule.code.startswith(self.word) or rule.name == self.word):
            return False
        return fnmatchcase(where, self.pattern) or fnmatchcase(where, f"{self.pattern}.*")


def ignores_in_source(model: ModelFacts) -> list[Ignore]:
    """Return the entries of the comments in the classes of a model."""
    found = []
    for module in model.modules:
        for entry in module.ignores:
            word, _, attribute = entry.partition(":")
            path = ".".join(part for part in (module.path, attribute) if part)
            found.append(Ignore(word, escape(path) if path else "*"))
    return found


def ignores_among(words: Iterable[str]) -> list[Ignore]:
    """Return the entries of the argument ``ignore`` that are about a place: ``"PLC001:encoder.*"``."""
    parts = (word.partition(":") for word in words)
    return [Ignore(word, pattern) for word, colon, pattern in parts if colon]
