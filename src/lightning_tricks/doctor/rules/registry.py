"""Registry: all rules, found where they are written, and the choice among them.

The convention is the registry: a function marked ``@rule`` in any file below ``doctor/rules`` is a rule.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from operator import eq
from pkgutil import walk_packages
from typing import Any

from lightning_tricks.doctor.rules.rule import Rule, rule_of


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    rules = import_module("lightning_tricks.doctor.rules")
    found = {}
    for module in walk_packages(rules.__path__, f"{rules.__name__}."):
        for value in vars(import_module(module.name)).values():
            if rule := rule_of(value):
                found[rule.code] = rule
    return tuple(found[code] for code in sorted(found))


def find_rule(name: str) -> Rule:
    """Return the rule of a code or name.

    Raises:
        LookupError: there is none; the message offers the closest.

    Example:
        >>> find_rule("dropout-p-out-of-range").code
        'PLC005'
    """
    for rule in all_rules():
        if name in (rule.code, rule.name):
            return rule
    raise LookupError(_unknown(name, [word for rule in all_rules() for word in (rule.code, rule.name)]))


def choose_rules(select: Iterable[str] = (), ignore: Iterable[str] = (), *, preview: bool = False) -> tuple[Rule, ...]:
    """Return the rules to check.

    Args:
        select: codes, prefixes of codes (``PLC``) and names; nothing selects all. Rules of the doctor's own work
            (``DOC``) are always among them: a model that cannot be looked at is not healthy.
        ignore: likewise; it wins. ``"PLC001:encoder.*"`` leaves the rule among them: it is about one place.
        preview: rules in preview too.

    Raises:
        ValueError: a word that fits no rule; the message offers the closest.

    Example:
        >>> [rule.code for rule in choose_rules(["OPT"], ["params-not-in-optimizer"])]
        ['DOC001', 'DOC002', 'OPT001', ...]
    """
    wanted = _matching("select", as_words(select))
    words = as_words(ignore)
    _matching("ignore", [word.partition(":")[0] for word in words])
    unwanted = _matching("ignore", [word for word in words if ":" not in word])
    return tuple(
        rule
        for rule in all_rules()
        if (not wanted or rule.code in wanted or rule.family == "DOC")
        and rule.code not in unwanted
        and (preview or not rule.preview)
    )


def merge_options(chosen: Iterable[Rule], options: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Return each rule's options by its code: the defaults, and over them those given under its code or name.

    Raises:
        ValueError: an unknown rule or option, the message offers the closest; or a value of another type.
    """
    merged = {rule.code: rule.options for rule in chosen}
    for name, given in (options or {}).items():
        try:
            rule = find_rule(name)
        except LookupError as error:
            raise ValueError(f"`options`: {error.args[0]}") from None
        if not isinstance(given, Mapping):
            raise ValueError(f"`options[{name!r}]` must be a mapping such as {rule.options}, got {given!r}.")
        for key in given:
            if key not in rule.options:
                raise ValueError(f"`options[{name!r}]`: " + _unknown(key, list(rule.options), "an option"))
            if not _fits(given[key], rule.options[key]):
                kind = type(rule.options[key]).__name__
                raise ValueError(f"`options[{name!r}][{key!r}]` must be of type {kind}, got {given[key]!r}.")
        if rule.code in merged:
            merged[rule.code].update(given)
    return merged


def as_words(given: Iterable[str]) -> list[str]:
    """Return words as a list; one word alone is a list of one."""
    return [given] if isinstance(given, str) else list(given)


def matching_codes(word: str) -> set[str]:
    """Return the codes of the rules that a code, a prefix or a name means.

    Raises:
        LookupError: none; the message offers the closest.
    """
    fitting = {rule.code for rule in all_rules() if word and (rule.code.startswith(word) or rule.name == word)}
    if not fitting:
        known = {word for rule in all_rules() for word in (rule.code, rule.name, rule.family)}
        raise LookupError(_unknown(word, sorted(known)))
    return fitting


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float))
    return isinstance(value, (list, tuple)) if isinstance(default, tuple) else True


def _matching(argument: str, words: Iterable[str]) -> set[str]:
    try:
        return {code for word in words for code in matching_codes(word)}
    except LookupError as error:
        raise ValueError(f"`{argument}`: {error.args[0]}") from None


def _unknown(word: str, known: list[str], what: str = "a rule") -> str:
    close = _closest(word, known)
    if close:
        return f"{word!r} is not {what}. Did you mean {' or '.join(close)}?"
    shown = "`lightning-tricks list rules` shows all" if what == "a rule" else f"There are {', '.join(known) or 'none'}"
    return f"{word!r} is not {what}. {shown}."


def _closest(word: str, known: list[str]) -> list[str]:
    """Return up to three words that are alike, first those with most letters in the same places."""
    alike = {match for form in (word, word.upper()) for match in get_close_matches(form, known, n=9, cutoff=0.5)}
    return sorted(alike, key=lambda match: (-sum(map(eq, match.lower(), word.lower())), match))[:3]
