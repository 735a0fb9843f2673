"""Read source: the file of a user-defined class, and the rules that comments in it ignore.

``# lt: ignore[PLC001, dropout-order]`` after (or inside) ``self.head = ...`` applies to ``head``; anywhere else in a
class it applies to the whole module. The brackets may contain codes, prefixes of codes, and names.
"""

import ast
import io
import linecache
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MARK = re.compile(r"#\s*lt:\s*ignore\[([^\]]*)\]")
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True)
class Source:
    """Where a class starts (``None`` for a library class), and the entries of its comments.

    An entry is ``PLC001``, or ``PLC001:head`` if it applies to one attribute only.
    """

    file: str | None = None
    line: int | None = None
    ignores: tuple[str, ...] = ()


def read_source(cls: type) -> Source:
    """Return the place of a class and the entries of its comments, including those of user-defined base classes."""
    file, line = _place(cls)
    places = {base: _place(base) for base in cls.__mro__}
    ignores = (entry for base, (where, _) in places.items() if where for entry in _entries(base, where))
    return Source(file, line, tuple(dict.fromkeys(ignores)))


def _place(cls: type) -> tuple[str | None, int | None]:
    """Return the file and line of a class that does not belong to a library."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or _file_of_methods(cls)
    if file is None or file.startswith(_LIBRARIES):
        return None, None
    start = re.compile(rf"\s*class {re.escape(cls.__name__)}\b")
    lines = linecache.getlines(file)
    return file, next((i for i, line in enumerate(lines, 1) if start.match(line)), None)


def _file_of_methods(cls: type) -> str | None:
    """Return the source of a class in a notebook, whose ``__main__`` has no file."""
    codes = (getattr(value, "__code__", None) for value in vars(cls).values())
    return next((code.co_filename for code in codes if code and linecache.getlines(code.co_filename)), None)


def _entries(cls: type, file: str) -> Iterator[str]:
    lines = linecache.getlines(file)
    if not any(_MARK.search(line) for line in lines):
        return
    try:
        body = ast.parse("".join(lines)).body
    except SyntaxError:  # a notebook's cell with magic commands
        return
    found = [node for name, node in _classes(body) if name == cls.__qualname__]
    if not found:
        return
    node = found[-1]  # of two classes with the same name, the later one counts
    inner = [inner for inner in ast.walk(node) if isinstance(inner, ast.ClassDef) and inner is not node]
    for number, words in _comments(lines):
        if _holds(node, number) and not any(_holds(child, number) for child in inner):
            attributes = _assigned(node, number)
            for word in words:
                yield from (f"{word}:{attribute}" for attribute in attributes) if attributes else (word,)


def _classes(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield all classes with their qualified names."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _classes(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _classes(node.body, f"{prefix}{node.name}.<locals>.")
        else:
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            yield from _classes(inner, prefix)


def _comments(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        if token.type == tokenize.COMMENT and (found := _MARK.search(token.string)):
            yield token.start[0], [word.strip() for word in found[1].split(",")]


def _holds(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _assigned(node: ast.ClassDef, line: int) -> list[str]:
    """Return the attributes that a statement on this line assigns."""
    found = []
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Assign, ast.AnnAssign)) and _holds(inner, line):
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            found += [each.attr for each in targets if isinstance(each, ast.Attribute) and _is_self(each.value)]
    return found


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"
