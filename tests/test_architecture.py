"""The floors: a package imports only from the floors below its own, and importing the library stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_tricks

SRC = Path(lightning_tricks.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))

FLOORS = {
    "core": 0,
    "functional": 1,
    "data": 2,
    "modules": 2,
    "reports": 2,
    "sweeps": 2,
    "doctor/facts": 2.1,
    "doctor/reading": 2.2,
    "doctor/rules": 2.2,
    "doctor/tracing": 2.3,
    "doctor/show": 2.4,
    "doctor/judging": 2.5,
    "engine/run": 3,
    "engine/batch": 4,
    "engine/clip": 4,
    "engine/control": 4,
    "engine/layers": 4,
    "engine/lr": 4,
    "engine/watch": 4,
    "engine/gradcheck": 5,
    "engine/initialization": 5,
    "engine/trial": 5,
    "engine/checkup": 6,
    "callbacks": 7,
    "hydra": 7,
    "cli": 8,
}
"""The floor of each room, by the longest prefix of a file's path; on the second floor no room knows another."""

MAY_DRAW = {("sweeps", "reports"), ("doctor/show", "reports")}
"""Rooms of the second floor that show what they have with the figures of another."""

FAMILIES = {
    "lr_schedule": {
        "cosine_decay",
        "cosine_warm_restarts",
        "exponential_decay",
        "inverse_sqrt_decay",
        "inverse_time_decay",
        "one_cycle",
        "piecewise_constant",
        "polynomial_decay",
    },
    "doctor": {"placement_check"},
    "lr_finder": {"find_batch_size", "find_lr"},
}
"""Callbacks that other callbacks may import, and which."""

OUTSIDE = {"conf", "templates"}
"""Folders that hold no code of the library: options, and the project that ``lightning-tricks init`` writes."""


def imports_of(source: str) -> list[str]:
    """Every module that a source imports, inside functions too; a relative import starts with a dot."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append("." * node.level + (node.module or ""))
    return found


def room_of(path: str) -> str:
    """The room of a file or module, given as a path below the package; fails on a folder that no room has."""
    rooms = [room for room in FLOORS if path == room or path.startswith(f"{room}/")]
    assert rooms, f"{path}: no room of the house; add its folder to FLOORS"
    return max(rooms, key=len)


def violations(path: str, source: str) -> list[str]:
    """What a file of that path below the package imports against the rules of the house."""
    room, found = room_of(path), []
    stem = path.rpartition("/")[2].removesuffix(".py")
    for module in imports_of(source):
        top, *rest = module.split(".")
        if top == "":
            found.append("relative import")
        if top == "lightning_tricks":
            found += _against_the_floors(room, stem, "/".join(rest))
        if top in ("lightning", "pytorch_lightning") and FLOORS[room] < 3:
            found.append(f"{room} is below Lightning")
        if top in ("hydra", "omegaconf") and room not in ("hydra", "cli"):
            found.append("hydra lives in hydra and cli alone")
        if room in ("core", "functional") and top not in ("torch", "lightning_tricks", *sys.stdlib_module_names):
            found.append(f"{module} is neither torch nor the standard library")
    return found


def _against_the_floors(room: str, stem: str, target: str) -> list[str]:
    if not target:  # the version and the registry are defined there
        return [] if room == "cli" else ["imports the package's own __init__, not the defining module"]
    other = room_of(target)
    if (SRC / target).is_dir():
        return [f"imports the __init__ of {target}, not the defining module"]
    if room == other:
        imported = target.rpartition("/")[2]
        is_private = room != "callbacks" or stem in FAMILIES.get(imported, ())
        return [] if is_private else [f"callback {stem} imports callback {imported}"]
    both_second = min(FLOORS[room], FLOORS[other]) >= 2 and max(FLOORS[room], FLOORS[other]) < 3
    strangers = both_second and room.partition("/")[0] != other.partition("/")[0]
    if FLOORS[other] >= FLOORS[room] and (room, other) not in MAY_DRAW:
        return [f"{room} may not import {target}"]
    return [f"{room} may not know {target}"] if strangers and (room, other) not in MAY_DRAW else []


@each_file
def test_file_keeps_the_rules_of_the_house(file: Path) -> None:
    path = file.relative_to(SRC).as_posix()
    if path in ("__init__.py", "__main__.py") or path.partition("/")[0] in OUTSIDE:
        return
    if file.name == "__init__.py":  # a package's map; `hydra` offers its one function there
        path = path.removesuffix("__init__.py") + "package"
        if not any(path.startswith(f"{room}/") for room in FLOORS):
            assert any(room.startswith(path.removesuffix("package")) for room in FLOORS), f"{path}: unknown folder"
            return
    assert violations(path, file.read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("functional/planted.py", "import lightning_tricks.engine.run.clock", "functional may not import"),
        ("functional/planted.py", "import numpy", "neither torch nor the standard library"),
        ("doctor/rules/planted.py", "import lightning.pytorch", "below Lightning"),
        ("doctor/rules/planted.py", "from lightning_tricks.doctor.judging.judge import examine", "may not import"),
        ("doctor/reading/planted.py", "import lightning_tricks.reports.curves", "may not know"),
        ("engine/lr/planted.py", "import lightning_tricks.engine.clip.clipper", "engine/lr may not import"),
        ("engine/run/planted.py", "import lightning_tricks.engine.trial.trial_run", "engine/run may not import"),
        ("callbacks/planted.py", "import lightning_tricks.callbacks.lr_finder", "imports callback lr_finder"),
        ("callbacks/planted.py", "from omegaconf import OmegaConf", "hydra lives in hydra"),
        ("callbacks/planted.py", "import lightning_tricks", "package's own __init__"),
        ("callbacks/planted.py", "import lightning_tricks.engine.run", "the __init__ of engine/run"),
        ("callbacks/planted.py", "from . import clock", "relative import"),
    ],
)
def test_a_planted_violation_is_caught(path: str, source: str, complaint: str) -> None:
    (found,) = violations(path, source)
    assert complaint in found


def test_a_folder_that_no_room_has_is_caught() -> None:
    with pytest.raises(AssertionError, match="add its folder to FLOORS"):
        violations("attic/planted.py", "")


def test_the_documentation_lists_the_rooms_and_their_floors() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    listed = {room: float(floor) for floor, room in re.findall(r"^\| ([\d.]+) \| `([\w/]+)` \|", page, re.MULTILINE)}
    assert listed == FLOORS


def test_no_module_imports_itself_through_others() -> None:
    modules = {file.relative_to(SRC.parent).with_suffix("").as_posix().replace("/", "."): file for file in FILES}
    graph = {name: [m for m in imports_of(file.read_text()) if m in modules] for name, file in modules.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@each_file
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
