"""Registry: find all packaged rules, and select among rules.

The convention is the registry: a function marked ``@rule`` in any file below ``doctor/rules`` is a rule. Functions that
select rules take the candidates as ``among``; the default is all packaged rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from lightning_tricks.core.arguments import check_words, shown, shown_with_type
from lightning_tricks.core.close_names import close_names, did_you_mean
from lightning_tricks.doctor.rules.rule import Rule, rule_of


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return all packaged rules, sorted by code."""
    rules = import_module("lightning_tricks.doctor.rules")
    found = {}
    for module in walk_packages(rules.__path__, f"{rules.__name__}."):
        for value in vars(import_module(module.name)).values():
            if rule := rule_of(value):
                found[rule.code] = rule
    return tuple(found[code] for code in sorted(found))


def find_rule(name: str, among: Sequence[Rule] | None = None) -> Rule:
    """Return the rule with a code or name.

    Raises:
        LookupError: the name is unknown; the message suggests close matches.

    Example:
        >>> find_rule("dropout-p-out-of-range").code
        'PLC005'
    """
    rules = all_rules() if among is None else among
    for rule in rules:
        if name in (rule.code, rule.name):
            return rule
    raise LookupError(_unknown(name, [word for rule in rules for word in (rule.code, rule.name)]))


def choose_rules(
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    *,
    preview: bool = False,
    among: Sequence[Rule] | None = None,
) -> tuple[Rule, ...]:
    """Return the rules to check.

    Args:
        select: codes, prefixes of codes (``PLC``) and names; an empty list selects all. The ``DOC`` rules are always
            selected, because a model that cannot be checked is not healthy.
        ignore: the rules to skip, in the same form; takes precedence. ``"PLC001:encoder.*"`` keeps the rule, because it
            concerns one place.
        preview: also include rules in preview.
        among: the rules to select from; None: the packaged rules.

    Raises:
        ValueError: a word that matches no rule; the message suggests close matches.

    Example:
        >>> [rule.code for rule in choose_rules(["OPT"], ["params-not-in-optimizer"])]
        ['DOC001', 'DOC002', 'OPT001', ...]
    """
    rules = all_rules() if among is None else among
    wanted = _matching("select", check_words("select", select), rules)
    words = check_words("ignore", ignore)
    _matching("ignore", [word.partition(":")[0] for word in words], rules)
    unwanted = _matching("ignore", [word for word in words if ":" not in word], rules)
    return tuple(
        rule
        for rule in rules
        if (not wanted or rule.code in wanted or rule.family == "DOC")
        and rule.code not in unwanted
        and (preview or not rule.preview)
    )


def options_by_code(
    options: Mapping[str, Mapping[str, Any]] | None, among: Sequence[Rule] | None = None
) -> dict[str, dict[str, Any]]:
    """Check options that are given by code or name, and return them by code.

    Raises:
        ValueError: an unknown rule or option (the message suggests close matches), or a value of a wrong type.

    Example:
        >>> options_by_code({"dropout-p-out-of-range": {"high": 0.6}})
        {'PLC005': {'high': 0.6}}
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"`options` must be a mapping of rules to options, got {shown_with_type(options)}.")
    by_code: dict[str, dict[str, Any]] = {}
    for name, given in (options or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"The keys of `options` must be names of rules, got {shown_with_type(name)}.")
        try:
            rule = find_rule(name, among)
        except LookupError as error:
            raise ValueError(f"`options`: {error.args[0]}") from None
        _check_options(name, given, rule.options)
        by_code.setdefault(rule.code, {}).update(given)
    return by_code


def _check_options(name: str, given: object, defaults: dict[str, Any]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"`options[{shown(name)}]` must be a mapping such as {defaults}, got {shown(given)}.")
    for key, value in given.items():
        if key not in defaults:
            raise ValueError(f"`options[{shown(name)}]`: " + _unknown(key, list(defaults), "an option"))
        if not _fits(value, defaults[key]):
            kind = type(defaults[key]).__name__
            raise ValueError(f"`options[{shown(name)}][{shown(key)}]` must be of type {kind}, got {shown(value)}.")


def matching_codes(word: str, among: Sequence[Rule] | None = None) -> set[str]:
    """Return the codes of the rules that match a code, a prefix or a name.

    Raises:
        LookupError: there is no match; the message suggests close matches.
    """
    rules = all_rules() if among is None else among
    fitting = {rule.code for rule in rules if word and (rule.code.startswith(word) or rule.name == word)}
    if not fitting:
        known = {word for rule in rules for word in (rule.code, rule.name, rule.family)}
        raise LookupError(_unknown(word, sorted(known)))
    return fitting


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, (int, float)):
        return isinstance(value, (int, float))
    return isinstance(value, (list, tuple)) if isinstance(default, tuple) else True


def _matching(argument: str, words: Iterable[str], rules: Sequence[Rule]) -> set[str]:
    try:
        return {code for word in words for code in matching_codes(word, rules)}
    except LookupError as error:
        raise ValueError(f"`{argument}`: {error.args[0]}") from None


def _unknown(word: str, known: list[str], what: str = "a rule") -> str:
    available = (
        " `lightning-tricks list rules` lists all rules."
        if what == "a rule"
        else f" Available: {', '.join(known) or 'none'}."
    )
    return f"{shown(word)} is not {what}.{did_you_mean(close_names(word, known, cutoff=0.5)) or available}"
