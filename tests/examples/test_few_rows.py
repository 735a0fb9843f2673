"""The example for few rows runs to its end, and normalization pays off on unscaled inputs."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_recipe_beats_the_base_on_unscaled_wine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("few_rows")
    assert [len(loader.dataset) for loader in example.split(0)] == [30, 15, 133]
    scores = example.main(str(tmp_path), seeds=1, epochs=40)
    assert list(scores) == ["base", "normalized", "recipe few_rows"]
    assert scores["recipe few_rows"][0] > 0.85
    assert scores["recipe few_rows"][0] > scores["base"][0]
    assert (tmp_path / "few_rows.png").stat().st_size > 5_000
