"""Own rules: load rules of a project or of an installed package.

There are two sources: installed packages with an entry point in the group ``lightning_tricks.rules``, and a folder that
the project's ``pyproject.toml`` names. A rule that cannot be loaded becomes a note; the others are checked.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.rules.registry import all_rules
from lightning_tricks.doctor.rules.rule import Rule, rule_of

GROUP = "lightning_tricks.rules"
_PACKAGE = "lightning_tricks."
_PARTS = {part.name for part in fields(Evidence)}


@dataclass(frozen=True)
class OwnRules:
    """Rules that are not packaged, sorted by code, and a note for each that could not be loaded."""

    rules: tuple[Rule, ...] = ()
    notes: tuple[str, ...] = ()


def is_packaged(rule: Rule) -> bool:
    """Return whether a rule belongs to this package."""
    return rule.check.__module__.startswith(_PACKAGE)


def load_own_rules(folder: Path | None = None) -> OwnRules:
    """Return the rules of installed packages and of a folder.

    Args:
        folder: its ``*.py`` files are loaded, except those whose name starts with an underscore.

    Raises:
        ValueError: two rules have the same code or name.
    """
    found: dict[int, Rule] = {}
    notes: list[str] = []
    for place, values in (*_from_entry_points(notes), *_from_folder(folder, notes)):
        for rule in filter(None, map(rule_of, values)):
            if fault := _fault(rule):
                notes.append(f"Rule {rule.code} of {place} is not loaded: {fault}.")
            elif not is_packaged(rule):
                found[id(rule)] = rule
    rules = tuple(sorted(found.values(), key=lambda rule: rule.code))
    _check_unique((*all_rules(), *rules))
    return OwnRules(rules, tuple(notes))


def _from_entry_points(notes: list[str]) -> Iterator[tuple[str, Iterable[Any]]]:
    for point in _entry_points(tuple(sys.path)):
        try:
            loaded = point.load()
        except Exception as error:  # the code of another package may raise any exception
            notes.append(
                f"Rules of the entry point {point.name} ({point.value}) could not be loaded: {_describe(error)}."
            )
        else:
            yield point.value, vars(loaded).values() if isinstance(loaded, ModuleType) else [loaded]


@lru_cache(maxsize=8)
def _entry_points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of the packages on a path, of which each has to be read."""
    return tuple(entry_points(group=GROUP))


def _from_folder(folder: Path | None, notes: list[str]) -> Iterator[tuple[str, Iterable[Any]]]:
    for file in sorted(folder.glob("*.py")) if folder else ():
        if file.name.startswith("_"):
            continue
        try:
            yield str(file), vars(_load(file, file.stat().st_mtime_ns)).values()
        except Exception as error:  # user code may raise any exception
            notes.append(f"Rules of {file} could not be loaded: {_describe(error)}.")


@lru_cache(maxsize=64)
def _load(file: Path, changed: int) -> ModuleType:
    """Execute a file once per modification time; modules in the same folder can be imported."""
    spec = spec_from_file_location(f"doctor_rules_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def _fault(rule: Rule) -> str:
    if not re.fullmatch(r"[A-Z]+[0-9]+", rule.code):
        return "a code must consist of capital letters and digits, such as ABC001"
    if unknown := {need.partition(".")[0] for need in rule.needs} - _PARTS:
        return f"it needs {', '.join(sorted(unknown))}, which the evidence does not contain"
    return ""


def _check_unique(rules: Iterable[Rule]) -> None:
    seen: dict[str, Rule] = {}
    for rule in rules:
        for word in (rule.code, rule.name):
            other = seen.setdefault(word, rule)
            if other is not rule:
                raise ValueError(
                    f"Two rules have the {'code' if word == rule.code else 'name'} {word!r}: "
                    f"{_place(other)} and {_place(rule)}. Give one of them another "
                    f"{'code' if word == rule.code else 'name'}."
                )


def _place(rule: Rule) -> str:
    return f"{rule.check.__qualname__} in {inspect.getsourcefile(rule.check) or rule.check.__module__}"


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")
