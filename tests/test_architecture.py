"""The floors: a package imports only from the floors below its own, and importing the library stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_tricks

SRC = Path(lightning_tricks.__file__).parent
FLOORS = {"functional": 1, "data": 2, "doctor": 2, "reports": 3, "callbacks": 4, "hydra": 4, "cli": 5}
FILES = sorted(SRC.rglob("*.py"))


def imports_of(file: Path) -> list[str]:
    """Every module that a file imports, inside functions too; relative imports are not our style."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.append(node.module or "")
    return found


def room_of(file: Path) -> str:
    return file.relative_to(SRC).parts[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_file_imports_only_from_floors_below(file: Path) -> None:
    room = room_of(file)
    if room not in FLOORS:  # the package's own __init__ and the folder of options
        return
    for module in imports_of(file):
        top, *rest = module.split(".")
        if top == "lightning_tricks":
            if room == "cli" and not rest:  # the version and the registry are defined there
                continue
            assert rest, f"{file}: imports the package's own __init__, not the defining module"
            assert rest[0] == room or FLOORS[rest[0]] < FLOORS[room], f"{file}: {room} may not import {module}"
            assert len(rest) > 1, f"{file}: imports the __init__ of {rest[0]}, not the defining module"
        if top in ("lightning", "pytorch_lightning"):
            assert room in ("callbacks", "hydra"), f"{file}: Lightning lives in callbacks and hydra alone"
        if top in ("hydra", "omegaconf"):
            assert room in ("hydra", "cli"), f"{file}: hydra lives in hydra alone"
        if room == "functional" and top not in ("torch", "lightning_tricks"):
            assert top in sys.stdlib_module_names, f"{file}: {module} is neither torch nor the standard library"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_file_is_short_enough_to_read(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400


def test_no_file_is_named_after_nothing() -> None:
    assert not {file.stem for file in FILES} & {"utils", "helpers", "misc", "common"}


def loaded_after(statement: str, names: tuple[str, ...]) -> str:
    code = f"import sys; {statement}; print([name for name in {names!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_library_loads_neither_torch_nor_lightning_nor_hydra() -> None:
    assert loaded_after("import lightning_tricks", ("torch", "lightning", "hydra", "omegaconf", "typing")) == "[]"


def test_importing_the_pure_functions_loads_no_lightning() -> None:
    statement = "import lightning_tricks.functional.schedules, lightning_tricks.functional.learning_rates"
    assert loaded_after(statement, ("lightning", "pytorch_lightning", "hydra")) == "[]"


def test_importing_the_plugins_and_the_sweep_loads_no_torch() -> None:
    plugins = "import hydra_plugins.lightning_tricks, hydra_plugins.lightning_tricks.sweeper, lightning_tricks.conf"
    assert loaded_after(plugins, ("torch", "lightning", "lightning_tricks.hydra")) == "[]"
    assert loaded_after("import lightning_tricks.hydra.random_sweep", ("torch", "lightning")) == "[]"


def test_every_public_name_loads_and_is_listed() -> None:
    for name in lightning_tricks.__all__:
        assert getattr(lightning_tricks, name) is not None
        assert name in dir(lightning_tricks)
    with pytest.raises(AttributeError, match="no attribute 'CosineDekay'"):
        lightning_tricks.CosineDekay  # noqa: B018
