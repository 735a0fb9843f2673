"""Every public callback through LightningCLI, as a person types it: built, written down, explained."""

import inspect
import re
import sys
from collections.abc import Callable

import pytest
from lightning.pytorch.cli import LightningCLI
from tiny import Net
from tricks import as_typed, public_callbacks, required_arguments

import lightning_tricks as lt

NAMES = public_callbacks()


def parameters(name: str) -> list[str]:
    return list(inspect.signature(getattr(lt, name)).parameters)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., LightningCLI]:
    def typed(*arguments: str) -> LightningCLI:
        quiet = ["--trainer.accelerator=cpu", "--trainer.logger=false"]
        monkeypatch.setattr(sys, "argv", ["train.py", *quiet, *arguments])
        return LightningCLI(Net, run=False)

    return typed


def typed(name: str) -> list[str]:
    """What a person types for a callback; an argument without default is given."""
    given = [f"--trainer.callbacks.{key}={as_typed(value)}" for key, value in required_arguments(name).items()]
    return [f"--trainer.callbacks+=lightning_tricks.{name}", *given]


def test_all_of_them_are_built_at_once_and_can_be_changed(cli: Callable[..., LightningCLI]) -> None:
    another = ["--trainer.callbacks+=lightning_tricks.OneCycle", "--trainer.callbacks.total=9ep"]
    made = cli(*[arg for name in NAMES for arg in typed(name)], *another).trainer.callbacks
    kinds = [type(callback).__name__ for callback in made]
    assert {kind for kind in kinds if kind in NAMES} == set(NAMES)
    assert [callback.total for callback in made if type(callback) is lt.OneCycle] == ["1dur", "9ep"]


def test_print_config_writes_the_public_path_and_every_argument(
    cli: Callable[..., LightningCLI], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli(*[arg for name in NAMES for arg in typed(name)], "--print_config")
    text = capsys.readouterr().out
    for name in NAMES:
        found = re.search(rf"class_path: lightning_tricks\.{name}\n(.*?)(?=- class_path|\n  \w)", text, flags=re.DOTALL)
        assert found, name
        for key in parameters(name):
            assert f"{key}:" in found[1], f"{name}.{key}"


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_argument_from_the_docstring(
    name: str, cli: Callable[..., LightningCLI], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli(f"--trainer.callbacks.help=lightning_tricks.{name}")
    text = " ".join(capsys.readouterr().out.split())
    doc = inspect.getdoc(getattr(lt, name)) or ""
    for key in parameters(name):
        described = re.search(rf"\n {{4}}{key}: (.{{12}})", doc)
        assert described, key
        assert f"--trainer.callbacks.{key}" in text or f".{key} " in text, key
        assert described[1].replace("``", "").strip()[:8] in text.replace("``", ""), f"{name}.{key}"
