"""The example of a hand on the wheel: the order reaches the run, and the loss falls."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_rate_turned_down_by_hand_lowers_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before, after = importlib.import_module("live_control").main(str(tmp_path))
    assert after < before
    assert (tmp_path / "live_control.png").stat().st_size > 10_000
    assert len((EXAMPLES / "live_control.py").read_text().splitlines()) < 80
