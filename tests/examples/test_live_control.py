"""The example of live control: the order reaches the run, and the loss decreases."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_rate_lowered_during_training_lowers_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before, after = importlib.import_module("live_control").main(str(tmp_path))
    assert after < before
    assert (tmp_path / "live_control.png").stat().st_size > 10_000
    assert len((EXAMPLES / "live_control.py").read_text().splitlines()) < 80
