"""The checklist says missing only where the evidence says that it would help, and its options exist."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from tricks import TINY

import lightning_tricks
from lightning_tricks.core.trick_worth import with_worth
from lightning_tricks.engine.checkup.run_summary import read_roles
from lightning_tricks.reports.checklist import Item, Role
from lightning_tricks.reports.checklist_evidence import find_gap
from lightning_tricks.reports.run_data import Clipping, ReportedFinding, Sweep
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series

OPTIONS = Path(lightning_tricks.__file__).parent / "conf" / "tricks"
STEPS = (6, 12, 18)
FALLING, RISING, LEVEL = (Series(STEPS, values) for values in ((1.0, 0.5, 0.1), (0.9, 0.6, 1.2), (0.9, 0.6, 0.6)))
OVERFITTED = RunRecord("Net", "completed", metrics={"train_loss": FALLING, "val_loss": RISING})
DOCTOR = read_roles([lightning_tricks.Doctor()])
HEALTHY = RunRecord("Net", "completed", metrics={"train_loss": FALLING, "val_loss": LEVEL}, roles=DOCTOR)


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
    keys = ["early_stopping", "dropout", "l2", "augmentation", "more_data"]
    assert [found.key for found in OVERFITTED.checklist.missing] == keys
    assert "val_loss rose from 0.6 (step 12) to 1.2" in item(OVERFITTED, "dropout").evidence
    armed = replace(
        OVERFITTED,
        layers={"Dropout": 2},
        configuration={"optimizer 0.weight_decay": "0.01"},
        roles=read_roles([lightning_tricks.EarlyStopping(), lightning_tricks.MixUp()]),
    )
    assert [found.key for found in armed.checklist.missing] == ["more_data"]
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
    "DAT001": "input_scale",
    "DAT010": "batch",
    "OPT002": "differential_lrs",
    "RUN001": "normalization",
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


def test_of_several_findings_the_most_severe_counts() -> None:
    mild, severe = replace(finding("SIZ002"), severity="info"), finding("SIZ001")
    for findings in ((mild, severe), (severe, mild)):
        judged = item(replace(HEALTHY, findings=findings), "width")
        assert (judged.status, judged.evidence) == ("missing", "SIZ001: seen by SIZ001")


def test_an_information_leaves_an_item_open() -> None:
    told = replace(HEALTHY, findings=(replace(finding("SIZ002"), severity="info"),))
    assert told.checklist.missing == []
    assert (item(told, "width").status, item(told, "width").try_next) == ("unknown", "a change")


def test_images_without_a_convolution_lack_them_only_where_the_run_overfits() -> None:
    images = {"0": (32, 3, 28, 28), "1": (32,)}
    assert item(replace(OVERFITTED, inputs=images), "convolutions").status == "missing"
    assert "3x28x28" in item(replace(OVERFITTED, inputs=images), "convolutions").evidence
    assert item(replace(HEALTHY, inputs=images), "convolutions").status == "unknown"
    assert item(replace(OVERFITTED, inputs=images, layers={"Conv2d": 3}), "convolutions").status == "done"
    assert item(replace(OVERFITTED, inputs={"0": (32, 8)}), "convolutions").status == "not applicable"


def test_rates_by_depth_matter_only_where_a_part_is_frozen_or_pretrained() -> None:
    rates = {"0.0": LEVEL, "0.1": FALLING}
    assert item(HEALTHY, "differential_lrs").status == "not applicable"
    frozen = replace(HEALTHY, parameters=(100, 10), lrs={"0.0": LEVEL})
    assert item(frozen, "differential_lrs").try_next == "tricks=[discriminative_lr]"
    assert item(replace(frozen, lrs=rates), "differential_lrs").status == "done"


def test_a_schedule_of_the_module_counts_and_an_oscillating_loss_asks_for_one() -> None:
    assert item(replace(HEALTHY, lrs={"0.0": FALLING}), "schedule").status == "done"
    constant = replace(HEALTHY, lrs={"0.0": Series(STEPS, (0.1, 0.1, 0.1))})
    assert item(constant, "schedule").status == "unknown"
    assert item(replace(constant, findings=(finding("RUN005"),)), "schedule").status == "missing"


def test_the_test_set_is_judged_by_its_looks_and_its_gap_to_validation() -> None:
    guarded = replace(HEALTHY, roles=read_roles([lightning_tricks.TestGuard()]))
    assert item(guarded, "looks").status == "unknown"
    assert item(replace(guarded, looks=1), "looks").status == "done"
    assert item(replace(guarded, looks=3), "looks").evidence == "3 configurations have been tested"
    assert item(guarded, "test_gap").evidence == "this run was not tested"
    near, far = ({"test_accuracy": 0.5, "test_loss": loss} for loss in (0.85, 0.95))
    assert item(replace(guarded, test=near), "test_gap").status == "done"
    assert item(replace(guarded, test=far), "test_gap").evidence == "test_loss 0.95 against val_loss 0.6 at best"
    assert item(replace(guarded, test=far), "test_gap").status == "missing"
    assert item(replace(guarded, test={"test_loss": None}), "test_gap").status == "unknown"


def test_a_loss_that_was_not_finite_asks_for_clipping_unless_it_is_there() -> None:
    record = replace(HEALTHY, metrics={"train_loss": Series(STEPS, (1.0, None, 0.5))})
    assert item(record, "clipping").try_next == with_worth("tricks=[gradient_clipping]")
    roles = read_roles([lightning_tricks.GradientClipping()])
    clipped = replace(record, roles=roles, clipping=(Clipping("GradientClipping()", 1.0, 3),))
    assert item(clipped, "clipping").status == "done"
    assert "3 steps skipped" in item(clipped, "clipping").evidence


def test_what_is_done_is_named() -> None:
    roles = read_roles([lightning_tricks.CosineDecay(warmup=1), lightning_tricks.TestGuard()])
    record = replace(
        HEALTHY, looks=1, roles=roles, sweep=Sweep((1e-3,), (1.0,), 0.01, ""), configuration={"optimizer 0": "AdamW"}
    )
    done = {key: item(record, key) for key in ("lr_found", "schedule", "optimizer", "looks")}
    assert {found.status for found in done.values()} == {"done"}
    assert done["schedule"].evidence == "CosineDecay(warmup=1)"


def test_a_role_is_named_by_the_class_or_its_base_and_the_first_callback_with_it_is_shown() -> None:
    class Mine(lightning_tricks.LRSchedule):
        """A schedule of a user."""

    class Cautious(lightning_tricks.GradientClipping):
        """A clipping of a user."""

    found = read_roles([Mine(lightning_tricks.cosine_decay(5)), lightning_tricks.CosineWarmRestarts(2), Cautious(0.5)])
    assert found["schedule"].startswith("Mine(")
    assert found["restarts"] == "CosineWarmRestarts(t_0=2)"
    assert found["clipping"] == "Cautious(max_norm=0.5)"
    assert read_roles([lightning_tricks.PlacementCheck()]) == {}, "which runs a part of the doctor's rules"


def test_each_role_is_that_of_a_callback_and_makes_its_item_done() -> None:
    calls = read_roles([make() for make in TINY.values()])
    assert set(calls) == set(get_args(Role))
    record = RunRecord("Net", roles=calls, looks=1)
    for role in set(calls) - {"doctor"}:
        assert item(record, role).status == "done", role


def test_every_option_that_is_advised_exists() -> None:
    troubled = replace(HEALTHY, findings=tuple(map(finding, ("RUN003", "RUN004", "RUN005", "OPT002"))))
    records = [RunRecord("Net"), OVERFITTED, troubled, replace(HEALTHY, lrs={"0.0": LEVEL})]
    advised = {item.try_next for record in records for step in record.checklist.steps for item in step.items}
    options = {name for text in advised for name in re.findall(r"tricks=\[(\w+)\]", text)}
    assert options >= {"doctor", "lr_finder", "early_stopping", "gradient_clipping", "test_guard", "mix_up"}
    assert options >= {"cosine_decay", "cosine_warm_restarts", "discriminative_lr", "dropout_schedule"}
    assert all((OPTIONS / f"{name}.yaml").is_file() for name in options)


def test_a_summary_has_at_most_ten_lines() -> None:
    record = replace(
        OVERFITTED, findings=tuple(finding(code) for code in ("LOS001", "LOS002", "PLC001", "INI003", "SIZ001"))
    )
    lines = record.summary().splitlines()
    assert len(lines) == 10
    assert lines[0] == record.sentence()
    assert lines[-1].startswith("  and ")
