"""The example of the rule on diabetes runs to its end."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_rule_on_diabetes_ends_with_its_best_model_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    r2 = importlib.import_module("no_improvement").main(str(tmp_path))
    assert r2 > 0.4
    first, second, _ = capsys.readouterr().out.strip().splitlines()[-3:]
    best, again = first.removeprefix("val_loss: best ").split(", of the final model ")
    assert best == again
    assert "after 10 reductions" in second
    assert (tmp_path / "no_improvement.png").stat().st_size > 10_000
