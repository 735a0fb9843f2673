"""Every example in a docstring runs, and tools can read the arguments."""

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import docstring_parser
import pytest
from lightning.pytorch import Trainer

import lightning_tricks

SOURCES = sorted(Path(lightning_tricks.__file__).parent.rglob("*.py"))
MODULES = [
    found.name
    for found in pkgutil.walk_packages(lightning_tricks.__path__, "lightning_tricks.")
    if not found.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    names = {"Trainer": Trainer}  # every example of a callback has one
    results = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples failed; see the output above"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_sections_of_docstrings_can_be_read(path: Path) -> None:
    """A line that continues an argument is indented, or the command-line help of the whole class is empty."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node) or ""
            found = docstring_parser.parse(text, style=docstring_parser.DocstringStyle.GOOGLE)
            assert bool(found.params) == any(head in text for head in ("Args:\n", "Attributes:\n")), node.name
