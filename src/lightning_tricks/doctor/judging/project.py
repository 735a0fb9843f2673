"""Project: what a project's ``pyproject.toml`` says to the doctor, taken over by every call in it.

.. code-block:: toml

    [tool.lightning-tricks.doctor]
    select = ["PLC", "LOS"]                 # these rules alone
    ignore = ["weight-decay-on-norm-bias"]  # codes, prefixes of codes, names

    [tool.lightning-tricks.doctor.options.PLC005]
    high = 0.7

The file is the nearest ``pyproject.toml``, from the working directory upwards, that has this table.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lightning_tricks.doctor.rules.registry import as_words, choose_rules, find_rule, merge_options
from lightning_tricks.doctor.rules.rule import Rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = "tool.lightning-tricks.doctor"


@dataclass(frozen=True)
class ProjectSettings:
    """The table's contents; ``file`` is where they stand, ``None`` without such a table."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: Path | None = None


class Checks(NamedTuple):
    """What :func:`lightning_tricks.doctor.judging.judge.judge` is to be given after the evidence."""

    rules: tuple[Rule, ...]
    options: dict[str, dict[str, Any]]
    ignore: tuple[str, ...]


def plan_checks(
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    preview: bool = False,
) -> Checks:
    """Return what is to be checked, from what a call says and, beneath it, the project.

    Args:
        select: takes the place of the project's.
        ignore: beside the project's.
        options: over the project's, option by option.
        preview: rules in preview too.

    Raises:
        ValueError: an unknown rule, option or key, here or in the file, which is then named.
    """
    project = read_project()
    select, ignore = as_words(select), as_words(ignore)
    rules = choose_rules(select, ignore, preview=preview)
    merge_options(rules, options)  # raises where they are wrong
    try:
        known = {rule.code for rule in choose_rules(select or project.select, project.ignore, preview=preview)}
        rules = tuple(rule for rule in rules if rule.code in known)
        merged = merge_options(rules, project.options)
    except ValueError as error:
        raise ValueError(f"{project.file} [{TABLE}]: {error}") from None
    for name, given in (options or {}).items():
        merged.get(find_rule(name).code, {}).update(given)
    return Checks(rules, merged, (*project.ignore, *ignore))


def read_project(start: Path | None = None) -> ProjectSettings:
    """Return the settings of the project that a directory, by default the working directory, is in.

    Raises:
        ValueError: a file that is no TOML, an unknown key, a value of another type; the message names the file.
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
    """Parse a file once for each time that it was changed."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no valid TOML: {error}") from None
    table: Any = content
    for key in TABLE.split("."):
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _settings(table: Any, file: Path) -> ProjectSettings:
    place = f"{file} [{TABLE}]"
    if not isinstance(table, dict):
        raise ValueError(f"{place} must be a table, got {table!r}.")
    known = ("select", "ignore", "options")
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            offer = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
            raise ValueError(f"{place}: {key!r} is unknown. {offer}")
    for key in ("select", "ignore"):
        words = table.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{place}: `{key}` must be a list of codes and names, got {words!r}.")
    options = table.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"{place}: `options` must be a table of rules, got {options!r}.")
    return ProjectSettings(tuple(table.get("select", ())), tuple(table.get("ignore", ())), options, file)
