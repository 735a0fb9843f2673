"""The gallery: every schedule of the library is in the picture, and the picture in the documentation is small."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import lightning_tricks as lt

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gallery() -> Any:
    spec = importlib.util.spec_from_file_location("schedule_gallery", ROOT / "examples" / "schedule_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_schedule_is_shown_under_the_expression_that_makes_it(gallery: Any) -> None:
    shown = set(re.findall(r"\w+(?=\()", " ".join(gallery.GALLERY)))
    made = {name for name in lt.__all__ if getattr(lt, name).__module__.startswith("lightning_tricks.functional.sched")}
    assert made - {"Schedule"} == shown
    for expression, schedule in gallery.GALLERY.items():
        assert eval(expression, vars(lt)) == schedule


def test_the_picture_is_drawn_and_its_copy_in_the_documentation_is_small(gallery: Any, tmp_path: Path) -> None:
    gallery.main(str(tmp_path / "schedules.png"))
    for picture in (tmp_path / "schedules.png", ROOT / "docs" / "pictures" / "schedules.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 100_000
