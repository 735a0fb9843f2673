"""The example of Optuna's pruner: it finds the best of the same trainings in fewer epochs, and draws them."""

import importlib
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_pruner_needs_fewer_epochs_for_the_same_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("optuna_pruning")
    monkeypatch.setattr(example, "EPOCHS", 4)
    example.main(str(tmp_path / "trials.png"), "8")
    lines = capsys.readouterr().out.splitlines()
    (every, fewer) = (int(re.search(r"(\d+) epochs", line)[1]) for line in lines)
    assert every == 32
    assert fewer < every
    assert lines[0].rpartition("best")[2] == lines[1].rpartition("best")[2]
    assert (tmp_path / "trials.png").read_bytes().startswith(b"\x89PNG")
