"""Registry: all rules, found where they are written, and the choice among them.

The convention is the registry: a function marked ``@rule`` in any file of ``doctor/rules`` is a rule.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from lightning_tricks.doctor.rule import Rule, rule_of


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    rules = import_module("lightning_tricks.doctor.rules")
    found = {}
    for module in iter_modules(rules.__path__, f"{rules.__name__}."):
        for value in vars(import_module(module.name)).values():
            if one := rule_of(value):
                found[one.code] = one
    return tuple(found[code] for code in sorted(found))


def find_rule(name: str) -> Rule:
    """Return the rule of a code or name.

    Raises:
        LookupError: there is none; the message offers the closest.

    Example:
        >>> find_rule("dropout-p-out-of-range").code
        'PLC005'
    """
    for one in all_rules():
        if name in (one.code, one.name):
            return one
    raise LookupError(_unknown(name, [word for one in all_rules() for word in (one.code, one.name)]))


def choose_rules(select: Iterable[str] = (), ignore: Iterable[str] = (), *, preview: bool = False) -> tuple[Rule, ...]:
    """Return the rules to check.

    Args:
        select: codes, prefixes of codes (``PLC``) and names; nothing selects all. Rules of the doctor's own work
            (``DOC``) are always among them: a model that cannot be looked at is not healthy.
        ignore: likewise; it wins.
        preview: rules in preview too.

    Raises:
        ValueError: a word that fits no rule; the message offers the closest.

    Example:
        >>> [one.code for one in choose_rules(["OPT"], ["params-not-in-optimizer"])]
        ['DOC001', 'OPT009', ...]
    """
    wanted = _matching("select", select)
    unwanted = _matching("ignore", ignore)
    return tuple(
        one
        for one in all_rules()
        if (not wanted or one.code in wanted or one.family == "DOC")
        and one.code not in unwanted
        and (preview or not one.preview)
    )


def merge_options(chosen: Iterable[Rule], options: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Return each rule's options by its code: the defaults, and over them those given under its code or name.

    Raises:
        ValueError: an unknown rule or option; the message offers the closest.
    """
    merged = {one.code: one.options for one in chosen}
    for name, given in (options or {}).items():
        try:
            one = find_rule(name)
        except LookupError as error:
            raise ValueError(f"`options`: {error.args[0]}") from None
        for key in given:
            if key not in one.options:
                raise ValueError(f"`options[{name!r}]`: " + _unknown(key, list(one.options), "an option"))
        if one.code in merged:
            merged[one.code].update(given)
    return merged


def _matching(argument: str, words: Iterable[str]) -> set[str]:
    words = [words] if isinstance(words, str) else list(words)
    found: set[str] = set()
    for word in words:
        fitting = {one.code for one in all_rules() if word and (one.code.startswith(word) or one.name == word)}
        if not fitting:
            known = {word for one in all_rules() for word in (one.code, one.name, one.family)}
            raise ValueError(f"`{argument}`: {_unknown(word, sorted(known))}")
        found |= fitting
    return found


def _unknown(word: str, known: list[str], what: str = "a rule") -> str:
    close = get_close_matches(word, known, n=3, cutoff=0.5) or get_close_matches(word.upper(), known, n=3, cutoff=0.5)
    offer = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(known) or 'none'}."
    return f"{word!r} is not {what}. {offer}"
