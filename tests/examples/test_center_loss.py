"""The example of the center loss: images of a class lie closer together, and the page has the picture."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_variance_within_classes_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    results = importlib.import_module("center_loss").main(str(tmp_path), epochs=8)
    without, centered = (found[0] for found in results.values())
    assert centered.spread < 0.5 * without.spread
    assert centered.relative < without.relative
    for picture in (tmp_path / "center_loss.png", ROOT / "docs" / "pictures" / "center_loss.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 150_000
