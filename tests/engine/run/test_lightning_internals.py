"""Lightning's private names are used in one module alone."""

import ast
import re
from functools import cache
from pathlib import Path

import lightning
import pytest

import lightning_tricks

SRC = Path(lightning_tricks.__file__).parent
LIGHTNING = Path(lightning.__file__).parent
HOME = SRC / "engine" / "run" / "lightning_internals.py"
FILES = [file for room in ("engine", "callbacks", "hydra") for file in sorted((SRC / room).rglob("*.py"))]


@cache
def names_of_lightning() -> set[str]:
    """Every private name that stands anywhere in Lightning's own packages."""
    files = [file for package in ("pytorch", "fabric") for file in (LIGHTNING / package).rglob("*.py")]
    return {name for file in files for name in re.findall(r"\b_[a-z]\w+", file.read_text())}


@cache
def names_of_ours() -> set[str]:
    """Every private name that one of our own classes or modules defines."""
    found = set()
    for file in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found |= {node.attr} if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") else set()
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


def private_names_in(source: str) -> set[str]:
    """The private names of Lightning's that a source asks other objects for."""
    asked = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
    private = {name for name in asked if name.startswith("_") and not name.startswith("__")}
    return (private & names_of_lightning()) - names_of_ours()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SRC).as_posix())
def test_private_names_of_lightning_stand_in_one_module(file: Path) -> None:
    assert file == HOME or private_names_in(file.read_text()) == set()


def test_a_planted_private_name_is_caught() -> None:
    assert private_names_in("loader = trainer.fit_loop._combined_loader") == {"_combined_loader"}
    assert private_names_in(HOME.read_text())
