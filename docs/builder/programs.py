"""Programs: turn a test case of a rule into a program that a reader can run.

A test case is a function that returns the arguments of `diagnose`. Its program contains the imports, the definitions
of its own file and of `tests/support` that it uses, and the body of the function.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from builder.pages import ROOT
from lightning_tricks.doctor.rules.rule import Rule

SUPPORT = ROOT / "tests" / "support"


@dataclass(frozen=True)
class Program:
    """A program in three parts, and whether it gives the doctor a model or what was measured in a run."""

    imports: str
    definitions: str
    body: str
    is_run: bool

    @property
    def text(self) -> str:
        """The whole program."""
        return "\n\n\n".join(part for part in (self.imports, self.definitions, self.body) if part) + "\n"


def program_of(build: Callable[[], dict[str, Any]], rule: Rule) -> Program:
    """Return the program of a test case, which leaves the doctor's report in ``report``.

    Args:
        build: the test case.
        rule: the rule that the program checks.
    """
    file = Path(inspect.getfile(build))
    function = _top_level(file)[0][build.__name__]
    assert isinstance(function, ast.FunctionDef)
    is_run = "evidence" in build()
    body = _body(function, file.read_text(encoding="utf-8"), rule, is_run)
    given = ["from lightning_tricks import diagnose"]
    if is_run:
        given = [
            "from lightning_tricks.doctor.judging.judge import judge",
            "from lightning_tricks.doctor.rules.registry import choose_rules",
        ]
    imports, definitions = _needed(function.body, file)
    return Program("\n".join(sorted({*imports, *given}, key=_order)), "\n\n\n".join(definitions), body, is_run)


def run_program(text: str, file: Path) -> Any:
    """Write a program to a file, run it, and return its report."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[file.stem] = module  # the doctor reads the source of classes through their module
    spec.loader.exec_module(module)
    return module.report


def _body(function: ast.FunctionDef, source: str, rule: Rule, is_run: bool) -> str:
    selected = f'select=["{rule.code}"]{", preview=True" if rule.preview else ""}'
    *before, last = function.body
    assert isinstance(last, ast.Return)
    assert last.value is not None
    lines = [_segment(source, node) for node in before if not _is_docstring(node)]
    if is_run:
        lines += [f"given = {_segment(source, last.value)}"]
        lines += [f'report = judge(given["evidence"], choose_rules({selected}))']
    elif isinstance(last.value, ast.Dict) and all(isinstance(key, ast.Constant) for key in last.value.keys):
        pairs = zip(last.value.keys, last.value.values, strict=True)
        names = {key.value: _segment(source, value) for key, value in pairs if isinstance(key, ast.Constant)}
        lines += [f"{name} = {value}" for name, value in names.items() if name != value]
        arguments = ", ".join(name if name in ("model", "batch") else f"{name}={name}" for name in names)
        lines += [f"report = diagnose({arguments}, {selected})"]
    else:
        lines += [f"given = {_segment(source, last.value)}"]
        lines += [f"report = diagnose(**given, {selected})"]
    return "\n".join([*lines, "print(report)"])


def _segment(source: str, node: ast.AST) -> str:
    """Return the source of a node, moved to the left margin."""
    found = ast.get_source_segment(source, node) or ""
    first, *rest = found.split("\n")
    margin = getattr(node, "col_offset", 0) if isinstance(node, ast.stmt) else _margin(rest)
    return "\n".join([first, *(line[margin:] if line[:margin].isspace() else line for line in rest)])


def _margin(lines: list[str]) -> int:
    """Return the smallest indentation of the lines after the first."""
    return min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)


@cache
def _top_level(file: Path) -> tuple[dict[str, ast.stmt], dict[str, str]]:
    """Return the definitions of a file and its imports, both by the name that they define."""
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, str] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                line = ast.unparse(type(node)(**{**vars(node), "names": [alias]}))
                imports[(alias.asname or alias.name).partition(".")[0]] = line
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions |= {
                name.id: node for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            }
    return definitions, imports


def _needed(nodes: Sequence[ast.stmt], file: Path) -> tuple[set[str], list[str]]:
    """Return the imports and the definitions that statements need, each after what it needs itself."""
    imports: set[str] = set()
    found: dict[tuple[Path, int], str] = {}
    visited: set[tuple[Path, int]] = set()

    def visit(node: ast.stmt, place: Path) -> None:
        imported = _top_level(place)[1]
        for name in _names(node):
            home = _helper(imported[name]) if name in imported else place
            if home is None:
                imports.add(imported[name])
                continue
            definition = _top_level(home)[0].get(name)
            if definition is not None and (home, definition.lineno) not in visited:
                visited.add((home, definition.lineno))
                visit(definition, home)
                found[home, definition.lineno] = _whole(home.read_text(encoding="utf-8"), definition)

    for node in nodes:
        visit(node, file)
    return imports, list(found.values())


def _whole(source: str, node: ast.stmt) -> str:
    """Return the source of a definition with its decorators."""
    start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[start - 1 : node.end_lineno])


def _helper(line: str) -> Path | None:
    """Return the file of a helper module in `tests/support` that an import names."""
    node = ast.parse(line).body[0]
    module = node.module if isinstance(node, ast.ImportFrom) else None
    file = SUPPORT / f"{module}.py"
    return file if module and file.is_file() else None


def _names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            yield part.value  # an annotation in quotes


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _order(line: str) -> tuple[bool, bool, str]:
    return "lightning_tricks" in line, line.startswith("from"), line
