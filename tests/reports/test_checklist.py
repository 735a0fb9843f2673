"""The checklist says missing only where the evidence says that it would help, and its options exist."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import lightning_tricks
from lightning_tricks.reports.checklist import Item, find_gap
from lightning_tricks.reports.run_data import Clipping, ReportedFinding, Sweep
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series

OPTIONS = Path(lightning_tricks.__file__).parent / "conf" / "tricks"
STEPS = (6, 12, 18)
FALLING, RISING, LEVEL = (Series(STEPS, values) for values in ((1.0, 0.5, 0.1), (0.9, 0.6, 1.2), (0.9, 0.6, 0.6)))
OVERFITTED = RunRecord("Net", "completed", metrics={"train_loss": FALLING, "val_loss": RISING})
HEALTHY = RunRecord("Net", "completed", metrics={"train_loss": FALLING, "val_loss": LEVEL}, tricks=("Doctor()",))


def item(record: RunRecord, key: str) -> Item:
    (found,) = [item for step in record.checklist.steps for item in step.items if item.key == key]
    return found


def finding(code: str) -> ReportedFinding:
    return ReportedFinding(0, code, "name", "warning", "", f"seen by {code}", "a change")


def test_it_has_six_steps_in_their_order() -> None:
    checklist = HEALTHY.checklist
    assert [step.number for step in checklist.steps] == [1, 2, 3, 4, 5, 6]
    assert all(step.items for step in checklist.steps)
    assert str(checklist).count("\n") == sum(1 + len(step.items) for step in checklist.steps) - 1


def test_a_healthy_run_misses_nothing() -> None:
    assert HEALTHY.checklist.missing == []
    assert item(HEALTHY, "dropout").status == "not applicable"
    assert item(HEALTHY, "loss").status == "done"


def test_a_run_without_evidence_misses_nothing_and_knows_nothing() -> None:
    assert RunRecord("Net").checklist.missing == []
    assert item(RunRecord("Net"), "dropout").status == "unknown"
    assert item(RunRecord("Net"), "loss").try_next == "tricks=[doctor]"


def test_an_overfitting_gap_asks_for_what_is_absent_against_it() -> None:
    assert [found.key for found in OVERFITTED.checklist.missing] == ["early_stopping", "dropout", "l2"]
    assert "val_loss rose from 0.6 (step 12) to 1.2" in item(OVERFITTED, "dropout").evidence
    armed = replace(OVERFITTED, layers={"Dropout": 2}, configuration={"optimizer 0.weight_decay": "0.01"})
    assert [found.key for found in armed.checklist.missing] == ["early_stopping"]
    assert item(armed, "dropout").evidence == "2 layers"


def test_a_gap_needs_a_training_loss_that_falls() -> None:
    assert find_gap(HEALTHY) == ""
    assert find_gap(RunRecord("Net", metrics={"train_loss": RISING, "val_loss": RISING})) == ""
    assert find_gap(RunRecord("Net", metrics={"val_loss": RISING})) is None
    nothing = Series(STEPS, (None, None, None))
    assert find_gap(RunRecord("Net", metrics={"train_loss": nothing, "val_loss": nothing})) is None


KEYS = {
    "LOS003": "loss",
    "SIZ001": "width",
    "PLC001": "placement",
    "DAT007": "input_scale",
    "RUN004": "lr_found",
    "RUN003": "clipping",
    "DAT012": "test_rows",
    "INI003": "initialization",
}


@pytest.mark.parametrize(("code", "key"), KEYS.items())
def test_a_finding_of_the_doctor_is_what_is_missing(code: str, key: str) -> None:
    record = replace(HEALTHY, findings=(finding(code),))
    assert [found.key for found in record.checklist.missing] == [key]
    assert f"seen by {code}" in item(record, key).evidence


def test_a_loss_that_was_not_finite_asks_for_clipping_unless_it_is_there() -> None:
    record = replace(HEALTHY, metrics={"train_loss": Series(STEPS, (1.0, None, 0.5))})
    assert item(record, "clipping").try_next == "tricks=[gradient_clipping]"
    clipped = replace(record, tricks=("GradientClipping()",), clipping=(Clipping("GradientClipping()", 1.0, 3),))
    assert item(clipped, "clipping").status == "done"
    assert "3 steps skipped" in item(clipped, "clipping").evidence


def test_what_is_done_is_named() -> None:
    tricks = ("CosineDecay(warmup=1)", "TestGuard()")
    record = replace(
        HEALTHY, tricks=tricks, sweep=Sweep((1e-3,), (1.0,), 0.01, ""), configuration={"optimizer 0": "AdamW"}
    )
    done = {key: item(record, key) for key in ("lr_found", "schedule", "optimizer", "looks")}
    assert {found.status for found in done.values()} == {"done"}
    assert done["schedule"].evidence == "CosineDecay(warmup=1)"


def test_every_option_that_is_advised_exists() -> None:
    troubled = replace(HEALTHY, findings=(finding("RUN003"), finding("RUN004")))
    records = [RunRecord("Net"), OVERFITTED, troubled]
    advised = {item.try_next for record in records for step in record.checklist.steps for item in step.items}
    options = {name for text in advised for name in re.findall(r"tricks=\[(\w+)\]", text)}
    assert options >= {"doctor", "lr_finder", "early_stopping", "gradient_clipping", "test_guard"}
    assert all((OPTIONS / f"{name}.yaml").is_file() for name in options)


def test_a_summary_has_at_most_ten_lines() -> None:
    record = replace(
        OVERFITTED, findings=tuple(finding(code) for code in ("LOS001", "LOS002", "PLC001", "INI003", "SIZ001"))
    )
    lines = record.summary().splitlines()
    assert len(lines) == 10
    assert lines[0] == record.sentence()
    assert lines[-1].startswith("  and ")
