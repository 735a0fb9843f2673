"""The example that explodes on purpose does, and every way to clip saves it."""

import importlib.util
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "examples" / "exploding_gradients.py"


def test_each_way_to_clip_saves_the_run_that_explodes_without(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(FILE.parent)
    spec = importlib.util.spec_from_file_location("exploding_gradients", FILE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(str(tmp_path))
    bare = found.pop("no clipping")
    assert bare < 0.6
    assert len(found) == 5
    for way, accuracy in found.items():
        assert accuracy > 0.75, f"{way}: {accuracy}; {bare} without"
    assert len(list(tmp_path.glob("*.png"))) == 5


def test_it_is_short_enough_to_copy() -> None:
    assert len(FILE.read_text().splitlines()) < 80
