"""The example: the four ways of the guides on real data, a table and a picture."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    spec = importlib.util.spec_from_file_location("fine_tune", ROOT / "examples" / "fine_tune.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("digits", None)


def test_all_ways_learn_and_what_thaws_beats_the_head_alone(example: Any, tmp_path: Path, capsys: Any) -> None:
    scores = example.main(str(tmp_path), seeds=1)
    assert list(scores) == ["from scratch", "head only", "halves", "halves, layer-wise rates"]
    assert min(min(values) for values in scores.values()) > 0.85
    assert scores["halves"] > scores["head only"]
    table = capsys.readouterr().out
    assert all(way in table for way in scores)
    for picture in (tmp_path / "fine_tune.png", ROOT / "docs" / "pictures" / "fine_tune.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 100_000


def test_the_few_samples_are_so_many_of_each_class(example: Any) -> None:
    data = example.Digits()
    data.setup("fit")
    classes = example.loader(data.train, range(5, 10), seed=3, samples=20).dataset.tensors[1]
    assert classes.bincount().tolist() == [0] * 5 + [20] * 5
