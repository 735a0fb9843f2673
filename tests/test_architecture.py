"""The floors: a package imports only from the floors below its own, and importing the library stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Callback

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
    "lr_schedule": {file.stem for file in FILES if "(NamedSchedule)" in file.read_text(encoding="utf-8")},
    "doctor": {"placement_check"},
    "lr_finder": {"find_batch_size", "find_lr", "auto_tricks"},
    "early_stopping": {"auto_tricks"},
    "gradient_clipping": {"auto_tricks"},
    "run_report": {"auto_tricks"},
    "warmup_stable_decay": {"auto_tricks"},
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
        ("core/planted.py", "import lightning_tricks.functional.schedules", "core may not import"),
        ("core/planted.py", "import numpy", "neither torch nor the standard library"),
        ("modules/planted.py", "import lightning_tricks.data.splits", "modules may not import"),
        ("sweeps/planted.py", "import pytorch_lightning", "below Lightning"),
        ("engine/trial/planted.py", "def f():\n    import lightning_tricks.callbacks.lr_finder", "may not import"),
        ("engine/batch/planted.py", "import lightning_tricks.cli.main", "may not import"),
        ("doctor/facts/planted.py", "import lightning_tricks.doctor.reading.read_model", "may not import"),
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


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sweeps/planted.py", "import lightning_tricks.reports.curves"),
        ("doctor/show/planted.py", "import lightning_tricks.reports.curves"),
        ("callbacks/one_cycle.py", "import lightning_tricks.callbacks.lr_schedule"),
        ("callbacks/placement_check.py", "import lightning_tricks.callbacks.doctor"),
        ("callbacks/find_lr.py", "import lightning_tricks.callbacks.lr_finder"),
        ("hydra/planted.py", "from hydra.utils import instantiate"),
        ("cli/planted.py", "import lightning_tricks"),
        (
            "engine/checkup/planted.py",
            "import torch, numpy, lightning.pytorch, lightning_tricks.engine.trial.trial_run",
        ),
    ],
)
def test_what_is_allowed_is_not_complained_about(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_a_folder_that_no_room_has_is_caught() -> None:
    with pytest.raises(AssertionError, match="add its folder to FLOORS"):
        violations("attic/planted.py", "")


def listed_rooms(page: str) -> dict[str, float]:
    """The rooms and floors in the table of a page."""
    return {room: float(floor) for floor, room in re.findall(r"^\| ([\d.]+) \| `([\w/]+)` \|", page, re.MULTILINE)}


def test_the_documentation_lists_the_rooms_and_their_floors() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    assert listed_rooms(page) == FLOORS
    assert listed_rooms(page.replace("| 4 | `engine/lr` |", "| 5 | `engine/lr` |")) != FLOORS
    assert listed_rooms(page.replace("| 1 | `functional` |", "")) != FLOORS


def circle_in(graph: dict[str, list[str]]) -> list[str]:
    """The modules of an import circle, none if there is none."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        found: list[str] = []
        if name not in done:
            found = next((circle for other in graph.get(name, []) if (circle := visit(other, (*path, name)))), [])
            done.add(name)
        return found

    return next((circle for name in graph if (circle := visit(name, ()))), [])


def test_no_module_imports_itself_through_others() -> None:
    modules = {file.relative_to(SRC.parent).with_suffix("").as_posix().replace("/", "."): file for file in FILES}
    graph = {name: [m for m in imports_of(file.read_text()) if m in modules] for name, file in modules.items()}
    assert circle_in(graph) == []
    target = "lightning_tricks.engine.run.run"
    back = next(name for name in graph[target] if graph[name] or name.startswith("lightning_tricks.engine"))
    assert set(circle_in({**graph, back: [*graph[back], target]})) >= {target, back}, "a planted circle"


def misnamed(stem: str) -> bool:
    """Whether a file's name says nothing."""
    return stem in {"utils", "helpers", "misc", "common"}


def too_long(source: str) -> bool:
    """Whether a file is too long to be read at once."""
    return len(source.splitlines()) > 300


@each_file
def test_file_is_short_enough_to_read_and_named_after_something(file: Path) -> None:
    assert not too_long(file.read_text())
    assert not misnamed(file.stem)


def test_a_planted_long_file_and_a_planted_empty_name_are_caught() -> None:
    assert too_long("x = 1\n" * 301)
    assert not too_long("x = 1\n" * 300)
    assert misnamed("utils")
    assert not misnamed("durations")


def long_functions(source: str) -> list[str]:
    """The functions with a body of more than 30 lines, its docstring not counted."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            found += [node.name] * bool(body and node.end_lineno and node.end_lineno - body[0].lineno >= 30)
    return found


@each_file
def test_each_function_can_be_read_at_once(file: Path) -> None:
    assert long_functions(file.read_text()) == []


def test_a_planted_long_function_is_caught() -> None:
    head, doc = "class C:\n    def f(self):\n", '        """One.\n\n        Two.\n        """\n'
    assert long_functions(head + doc + "        x = 1\n" * 30) == []
    assert long_functions(head + doc + "        x = 1\n" * 31) == ["f"]
    assert long_functions(head + "        x = 1\n" * 31) == ["f"]


BESIDE_CALLBACKS = {"auto_tricks", "find_batch_size", "find_lr", "lr_preview"}
"""Files of the room `callbacks` that hold a public function instead of a callback."""


def homeless(stems: set[str], homes: set[str]) -> set[str]:
    """Files of the room `callbacks` that define no public callback."""
    return stems - homes - BESIDE_CALLBACKS - {"__init__"}


def test_the_room_of_the_callbacks_holds_public_callbacks_and_four_functions() -> None:
    public = {name: getattr(lightning_tricks, name) for name in lightning_tricks.__all__}
    callbacks = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, Callback)}
    homes = {lightning_tricks._HOMES[name].rpartition(".")[2] for name in callbacks}
    stems = {file.stem for file in (SRC / "callbacks").glob("*.py")}
    assert homeless(stems, homes) == set()
    assert homeless({*stems, "planted_machinery"}, homes) == {"planted_machinery"}


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
