"""Every public callback, by being public: its option, its docstring, its arguments, its tests."""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
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


WITHOUT_DEFAULT = {
    "LRSchedule": ["--callback.schedule=lightning_tricks.functional.schedules.linear_warmup"],
    "PiecewiseConstant": ["--callback.boundaries=[1, '2ep']", "--callback.factors=[1, 0.5, 0.1]"],
}


@pytest.mark.parametrize("name", NAMES)
def test_lightning_cli_can_build_it_and_write_down_what_it_built(name: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Callback, "callback")
    config = parser.parse_args([f"--callback=lightning_tricks.{name}", *WITHOUT_DEFAULT.get(name, [])])
    build = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
    assert type(build(config).callback) is getattr(lt, name)
    assert f"class_path: lightning_tricks.{name}" in parser.dump(config)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_tests_of_its_own(name: str) -> None:
    home = importlib.import_module(getattr(lt, name).__module__).__name__.rsplit(".", 1)[1]
    assert name in (ROOT / "tests" / "callbacks" / f"test_{home}.py").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_its_identity_is_never_a_tunable(name: str) -> None:
    cls = getattr(lt, name)
    assert issubclass(cls, Trick)
    assert set(cls.identity) <= {"monitor", "mode", "name"}
    for other in (*cls.requires, *cls.conflicts, *cls.after):
        assert isinstance(other, str)


@pytest.mark.parametrize("name", [name for name in lt.__all__ if inspect.isfunction(getattr(lt, name))])
def test_every_public_function_documents_itself(name: str) -> None:
    function: Callable[..., Any] = getattr(lt, name)
    text = inspect.getdoc(function) or ""
    assert "Example:" in text or "Example::" in text
    assert len(text.splitlines()[0]) < 120
