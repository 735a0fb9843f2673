"""Project: the settings of the doctor in ``pyproject.toml``, which apply to every call in the project.

.. code-block:: toml

    [tool.lightning-tricks.doctor]
    select = ["PLC", "LOS"]                 # only these rules
    ignore = ["weight-decay-on-norm-bias"]  # codes, prefixes of codes, names
    rules = "tools/doctor_rules"            # a folder with your own rules, relative to this file

    [tool.lightning-tricks.doctor.contracts]
    frozen = ["backbone.*"]
    output_shape = ["N", 10]

    [tool.lightning-tricks.doctor.options.PLC005]
    high = 0.7

The file is the nearest ``pyproject.toml``, from the working directory upwards, that has this table.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lightning_tricks.core.arguments import check_words
from lightning_tricks.core.close_names import close_names, did_you_mean
from lightning_tricks.doctor.facts.contracts import Contracts
from lightning_tricks.doctor.judging.own_rules import load_own_rules
from lightning_tricks.doctor.rules.registry import all_rules, choose_rules, options_by_code
from lightning_tricks.doctor.rules.rule import Rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = "tool.lightning-tricks.doctor"


_KEYS = ("select", "ignore", "options", "rules", "contracts")


@dataclass(frozen=True)
class ProjectSettings:
    """The contents of the table; ``file`` is the file that contains it, or ``None`` if there is none."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rules: Path | None = None
    contracts: Contracts | None = None
    file: Path | None = None


class Checks(NamedTuple):
    """The arguments of :func:`lightning_tricks.doctor.judging.judge.judge` after the evidence.

    Attributes:
        rules: the rules to check.
        options: the given values, by code; all others have the rule's default.
        ignore: the entries of ``ignore``; those about a place are applied to findings.
        notes: rules that could not be loaded.
        contracts: the contracts of the user.
    """

    rules: tuple[Rule, ...]
    options: dict[str, dict[str, Any]]
    ignore: tuple[str, ...]
    notes: tuple[str, ...] = ()
    contracts: Contracts | None = None


def plan_checks(
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    preview: bool = False,
    contracts: Contracts | None = None,
) -> Checks:
    """Return the checks of a call, with the settings of the project as defaults.

    Args:
        select: replaces the project's ``select``.
        ignore: added to the project's ``ignore``.
        options: override the project's options, one by one.
        preview: also check rules in preview.
        contracts: replaces the project's contracts.

    Raises:
        ValueError: an unknown rule, option or key, here or in the file (the message names the file), or two rules with
            the same code.
    """
    project = read_project()
    own = load_own_rules(project.rules)
    known = (*all_rules(), *own.rules)
    select, ignore = check_words("select", select), check_words("ignore", ignore)
    rules = choose_rules(select, ignore, preview=preview, among=known)
    given = options_by_code(options, known)
    try:
        allowed = set(choose_rules(select or project.select, project.ignore, preview=preview, among=known))
        below = options_by_code(project.options, known)
    except ValueError as error:
        raise ValueError(f"{project.file} [{TABLE}]: {error}") from None
    contracts = contracts or project.contracts
    rules = tuple(rule for rule in rules if rule in allowed and _is_stated(rule, contracts))
    return Checks(rules, _overlay(_words_of(own.rules), below, given), (*project.ignore, *ignore), own.notes, contracts)


def known_rules() -> tuple[Rule, ...]:
    """Return the packaged rules and those of the project."""
    return (*all_rules(), *load_own_rules(read_project().rules).rules)


def _is_stated(rule: Rule, contracts: Contracts | None) -> bool:
    """Return whether a rule needs no contract, or only contracts that are given."""
    asked = {need.partition(".")[2] for need in rule.needs if need.startswith("contracts.")}
    return asked <= set(contracts.stated if contracts else ())


def _words_of(own: Iterable[Rule]) -> dict[str, dict[str, Any]]:
    """Return the option that tells the rule on unknown rules in comments about custom rules."""
    words = tuple(word for rule in own for word in (rule.code, rule.family, rule.name))
    return {"DOC002": {"also_known": words}} if words else {}


def _overlay(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for code, given in layer.items():
            merged[code] = {**merged.get(code, {}), **given}
    return merged


def read_project(start: Path | None = None) -> ProjectSettings:
    """Return the settings of the project that contains a directory, by default the working directory.

    Raises:
        ValueError: a file that is not valid TOML, an unknown key or a wrong type; the message names the file.
    """
    for folder in ((start or Path.cwd()).resolve() / "pyproject.toml").parents:
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        table = _table(file, file.stat().st_mtime_ns)
        if table is not None:
            return _settings(table, file)
    return ProjectSettings()


@lru_cache(maxsize=8)
def _table(file: Path, changed: int) -> Any:
    """Parse a file once per modification time."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid TOML: {error}") from None
    table: Any = content
    for key in TABLE.split("."):
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _settings(table: Any, file: Path) -> ProjectSettings:
    place = f"{file} [{TABLE}]"
    if not isinstance(table, dict):
        raise ValueError(f"{place} must be a table, got {table!r}.")
    for key in table:
        if key not in _KEYS:
            offer = did_you_mean(close_names(key, _KEYS)) or f" Available keys: {', '.join(_KEYS)}."
            raise ValueError(f"{place}: unknown key {key!r}.{offer}")
    for key in ("select", "ignore"):
        words = table.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{place}: `{key}` must be a list of codes and names, got {words!r}.")
    options = table.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"{place}: `options` must be a table of rules, got {options!r}.")
    return ProjectSettings(
        tuple(table.get("select", ())),
        tuple(table.get("ignore", ())),
        options,
        _rules_folder(table.get("rules"), file, place),
        _contracts(table.get("contracts"), place),
        file,
    )


def _rules_folder(given: Any, file: Path, place: str) -> Path | None:
    if given is None:
        return None
    if not isinstance(given, str) or not (file.parent / given).is_dir():
        raise ValueError(f"{place}: `rules` must be an existing folder relative to {file.parent}, got {given!r}.")
    return file.parent / given


def _contracts(given: Any, place: str) -> Contracts | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ValueError(f"{place}: `contracts` must be a table, got {given!r}.")
    names = [part.name for part in fields(Contracts)]
    if unknown := [key for key in given if key not in names]:
        raise ValueError(f"{place}: unknown contract {unknown[0]!r}. Available contracts: {', '.join(names)}.")
    try:
        return Contracts(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from None
