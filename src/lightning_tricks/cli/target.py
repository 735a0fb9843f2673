"""Target: call ``pkg.module:callable`` or ``path/file.py:callable``, which returns a module and optionally its data."""

import sys
from pathlib import Path
from typing import Any

TARGET_HELP = "pkg.module:callable or path/file.py:callable; it returns "


def load_target(target: str) -> tuple[Any, Any]:
    """Return the module and the data that the target returns; ``None`` if it returns no data.

    Raises:
        ValueError: the form is invalid, the file does not exist, or the result has another type.
    """
    from importlib import import_module
    from importlib.util import module_from_spec, spec_from_file_location

    place, _, name = target.rpartition(":")
    if not place or not name:
        raise ValueError(f"`{target}` is not of the form pkg.module:callable or path/file.py:callable.")
    if place.endswith(".py"):
        spec = spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None or not Path(place).is_file():
            raise ValueError(f"There is no file {place}.")
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(Path(place).parent))  # as if it were run: it may import modules next to it
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, "")
        module = import_module(place)
    made = getattr(module, name)()
    if not isinstance(made, (tuple, list)):
        return made, None
    if len(made) != 2:
        raise ValueError(f"`{target}` must return a module, or a module and its data, got {len(made)} values.")
    return made[0], made[1]


def file_of_target(target: str) -> str | None:
    """Return the file of a loaded target; ``None`` if it has none."""
    place = target.rpartition(":")[0]
    return place if place.endswith(".py") else getattr(sys.modules.get(place), "__file__", None)
