"""A ledger of test looks is read, extended and, where damaged, kept."""

import json
from pathlib import Path

import pytest

from lightning_tricks.reports.look_ledger import Look, add_look, finite_or_none, read_looks


def look(fingerprint: str = "a") -> Look:
    return Look("2026-01-01T00:00:00+00:00", fingerprint, {"ckpt_path": None}, {"test_loss": 0.5}, {"hparams.lr": "1"})


def test_looks_are_appended_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "looks.json"
    assert read_looks(path) == []
    assert add_look(path, look("a")) == ([look("a")], None)
    assert add_look(path, look("b")) == ([look("a"), look("b")], None)
    assert read_looks(path) == [look("a"), look("b")]
    assert json.loads(path.read_text())["schema_version"] == 1


@pytest.mark.parametrize("damaged", ["{", "[]", '{"looks": [{"when": 1}]}', '{"looks": 3}', "\x00", '"a"'])
def test_a_damaged_ledger_is_kept_under_another_name(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "looks.json"
    for number in (1, 2):
        path.write_text(damaged)
        kept = tmp_path / f"looks.json.damaged-{number}"
        assert add_look(path, look()) == ([look()], kept)
        assert kept.read_text() == damaged
    assert read_looks(path) == [look()]


def test_values_that_are_not_finite_are_none() -> None:
    assert finite_or_none({"a": 1.0, "b": float("nan"), "c": float("-inf")}) == {"a": 1.0, "b": None, "c": None}
