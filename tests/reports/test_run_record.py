"""A record goes through strict JSON, and says in one sentence what happened."""

import json
import math
import re
from dataclasses import fields
from pathlib import Path

import pytest

from lightning_tricks.reports.run_data import BestScore, Clipping, ReportedFinding, Sweep, Thaw
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series

FULL = RunRecord(
    "Net",
    "stopped",
    "EarlyStopping: no improvement",
    seconds=3700.0,
    epochs=3,
    steps=18,
    best=(BestScore("val_loss", "min", 0.25, 1, 12),),
    metrics={"val_loss": Series((6, 12), (0.5, None))},
    sweep=Sweep((1e-3, 1e-2), (1.0, None), None, "flat"),
    clipping=(Clipping("GradientClipping()", 1.0, 2),),
    findings=(ReportedFinding(6, "RUN001", "flat-loss", "warning", "", "m", "t"),),
    thaws=(Thaw(0, (1,)),),
    configuration={"hparams.lr": "0.1"},
)


def test_json_goes_round_and_is_strict() -> None:
    assert RunRecord.from_json(FULL.to_json()) == FULL
    text = RunRecord("Net", seconds=math.nan, metrics={"a": Series((0,), (math.inf,))}).to_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["schema_version"] == 1


def test_a_field_that_a_later_version_adds_is_ignored_and_a_missing_one_is_empty() -> None:
    plain = json.loads(FULL.to_json())
    del plain["thaws"]
    plain["metrics"]["val_loss"]["unit"] = "nats"
    record = RunRecord.from_json(json.dumps({**plain, "new": 1}))
    assert record.thaws == ()
    assert record.metrics == FULL.metrics


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 99, "model": "A"}'])
def test_what_is_not_a_report_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not the report.json|newer version of lightning-tricks"):
        RunRecord.from_json(text)


def test_the_sentence_says_what_stopped_the_run_and_where_the_best_score_was() -> None:
    assert FULL.sentence() == (
        "Net trained for 3 epochs (18 steps, 1 h 1 min) and was stopped: EarlyStopping: no improvement; best val_loss "
        "0.25 (epoch 1, step 12)."
    )
    assert RunRecord("Net", "failed", "ValueError: x", epochs=1).sentence().endswith("and failed: ValueError: x.")


def test_the_documentation_names_every_field_and_no_other() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "report-schema.md").read_text().splitlines()
    documented = {
        name for line in lines if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == {field.name for field in fields(RunRecord)}
