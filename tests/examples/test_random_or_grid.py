"""The example: searches of one budget in four ways, a line each and a picture."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    spec = importlib.util.spec_from_file_location("random_or_grid", ROOT / "examples" / "random_or_grid.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("digits", None)


def test_every_search_has_the_same_budget_and_the_grid_its_three_values_an_axis(example: Any) -> None:
    trials = {name: search(3, 0) for name, search in example.SEARCHES.items()}
    assert {len(found) for found in trials.values()} == {27}
    assert {len({trial[name] for trial in trials["grid"]}) for name in example.SPACE} == {3}
    assert len({trial["lr"] for trial in trials["random"]}) == 27
    assert example.grid(3, 0) != example.grid(3, 1)


def test_it_trains_and_draws(example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = example.main(str(tmp_path), repetitions=1, side=2)
    assert all(len(found[0]) == 8 for found in runs.values())
    assert min(found[0][-1] for found in runs.values()) < 1.0
    assert capsys.readouterr().out.count("median of the best") == 4
    for picture in (tmp_path / "random_or_grid.png", ROOT / "docs" / "pictures" / "random_or_grid.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 100_000
