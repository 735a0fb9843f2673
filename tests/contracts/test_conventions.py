"""Every public callback, by being public: its option, its docstring, its arguments, its tests."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import MISSING, OmegaConf
from tricks import public_callbacks

import lightning_tricks as lt
from lightning_tricks.engine.run.trick import Trick

NAMES = public_callbacks()
OPTIONS = Path(lt.__file__).parent / "conf" / "tricks"
ROOT = Path(__file__).parents[2]
CARD = ("Use when", "Where it acts", "Interacts with", "Args", "Raises", "Example", "See")


def stem(name: str) -> str:
    """`ReduceLROnPlateau` -> `reduce_lr_on_plateau`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("LROn", "LrOn")).lower()


def parameters(name: str) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(getattr(lt, name).__init__).parameters)
    del found["self"]
    return found


def option(name: str) -> Any:
    return OmegaConf.load(OPTIONS / f"{stem(name)}.yaml")[stem(name)]


def test_the_options_are_those_of_the_public_callbacks() -> None:
    theirs = {path.stem for path in OPTIONS.glob("*.yaml")}
    assert {stem(name) for name in NAMES} <= theirs


@pytest.mark.parametrize("name", NAMES)
def test_its_option_has_the_keys_and_defaults_of_its_signature(name: str) -> None:
    node = OmegaConf.to_container(option(name))
    assert isinstance(node, dict)
    assert node.pop("_target_") == f"lightning_tricks.{name}"
    expected = {
        key: MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        for key, parameter in parameters(name).items()
    }
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in expected.items()}
    assert node == listed
    assert {key: type(value) for key, value in node.items()} == {key: type(value) for key, value in listed.items()}


@pytest.mark.parametrize("name", NAMES)
def test_its_option_explains_every_key(name: str) -> None:
    lines = (OPTIONS / f"{stem(name)}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    for line in lines[3:]:
        assert re.search(r": .*\S # \S", line) or line.strip().startswith("#"), f"{stem(name)}.yaml: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_its_option_builds_it_unless_a_value_is_missing(name: str) -> None:
    node = option(name)
    if not OmegaConf.missing_keys(node):
        assert type(instantiate(node)) is getattr(lt, name)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_is_a_method_card(name: str) -> None:
    text = inspect.getdoc(getattr(lt, name)) or ""
    places = [text.find(f"\n{heading}") for heading in CARD]
    assert -1 not in places, f"{name} lacks {[heading for heading, at in zip(CARD, places, strict=True) if at == -1]}"
    assert places == sorted(places), f"{name}: the sections stand in the order {CARD}"
    assert re.search(rf"tricks=\[{stem(name)}", text), f"{name} shows no Hydra line"
    assert "trainer = Trainer(" in text
    arguments = text[text.index("\nArgs:") : text.index("\nRaises:")]
    for parameter in parameters(name):
        assert re.search(rf"\n {{4}}{parameter}: \S", arguments), f"{name} does not document `{parameter}`"


@pytest.mark.parametrize("name", NAMES)
def test_its_arguments_can_be_built_by_hydra_and_jsonargparse(name: str) -> None:
    for i, (key, parameter) in enumerate(parameters(name).items()):
        assert parameter.annotation is not inspect.Parameter.empty, key
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, key
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY or i < 2, f"`{key}` must be keyword-only"


def checking_tests(name: str, file: Path) -> list[str]:
    """The tests of a file that use a name in code, directly or through other names of the file, and check something."""
    tree = ast.parse(file.read_text())
    mentions: dict[str, set[str]] = {}
    for node in tree.body:
        names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        names |= {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        for target in targets:
            defined = getattr(target, "name", None) or getattr(target, "id", None)
            mentions.setdefault(str(defined), set()).update(names)
    using = {name}
    while more := {defined for defined, names in mentions.items() if names & using} - using:
        using |= more
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [test.name for test in tests if test.name in using and checks_something(test)]


def checks_something(test: ast.FunctionDef) -> bool:
    nodes = list(ast.walk(test))
    raising = any(isinstance(node, ast.Attribute) and node.attr in ("raises", "warns") for node in nodes)
    return raising or any(isinstance(node, ast.Assert) for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_a_test_in_the_file_of_its_module_uses_it_and_checks_something(name: str) -> None:
    file = ROOT / "tests" / "callbacks" / f"test_{getattr(lt, name).__module__.rsplit('.', 1)[1]}.py"
    assert checking_tests(name, file)


def test_a_name_in_a_comment_or_an_import_is_no_test(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text("from x import It\n\n\ndef make():\n    return It()\n\n\ndef test_it():\n    make()\n")
    assert checking_tests("It", file) == []
    file.write_text(file.read_text().replace("    make()", "    assert make()"))
    assert checking_tests("It", file) == ["test_it"]
    file.write_text("from x import It  # It\n\n\ndef test_other():\n    assert 'It'\n")
    assert checking_tests("It", file) == []


@pytest.mark.parametrize("name", NAMES)
def test_its_identity_is_never_a_tunable(name: str) -> None:
    cls = getattr(lt, name)
    assert issubclass(cls, Trick)
    assert set(cls.identity) <= {"monitor", "mode", "name", "key"}


@pytest.mark.parametrize("name", [name for name in lt.__all__ if inspect.isfunction(getattr(lt, name))])
def test_every_public_function_documents_itself(name: str) -> None:
    function: Callable[..., Any] = getattr(lt, name)
    text = inspect.getdoc(function) or ""
    assert "Example:" in text or "Example::" in text
    assert len(text.splitlines()[0]) < 120
