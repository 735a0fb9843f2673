"""The example of transfer: each way learns, and cached features take less time than the whole network."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_each_way_learns_and_cached_features_are_cheaper(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    scores = importlib.import_module("transfer").main(seeds=1, epochs=5)
    assert min(found[0][0] for found in scores.values()) > 0.5, "a class by chance: 0.2"
    assert scores["cached features"][0][1] < scores["full fine-tuning"][0][1]
    assert all(way in capsys.readouterr().out for way in ["cached features of two backbones"])
