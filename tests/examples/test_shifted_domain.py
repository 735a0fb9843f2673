"""The example of domain weights: they follow the density ratio, and a weighted line fits the target domain."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_weights_follow_the_ratio_and_the_weighted_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for result in importlib.import_module("shifted_domain").main(seeds=2):
        assert result.correlation >= 0.9
        assert result.weighted > result.unweighted + 0.1
        assert result.weighted > result.of_target - 0.05
