"""The example of CORAL: features of unlabeled images with other gains are aligned."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_aligned_features_find_more_target_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("align_domains")
    alone, aligned = (example.target_accuracy("unequal gains", weight, seed=0, epochs=12) for weight in (0.0, 100.0))
    assert aligned > alone + 0.02
