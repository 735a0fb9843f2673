"""A baseline accepts what was found, whatever number, line, order or block it has, and nothing else."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from lightning_tricks import Finding, Report, diagnose
from lightning_tricks.doctor.judging.baseline import (
    Accepted,
    apply_baseline,
    read_baseline,
    renew_baseline,
    write_baseline,
)
from lightning_tricks.doctor.rules.outcome import Outcome


def finding(code: str = "PLC005", where: str = "drop", severity: Any = "warning", message: str = "p = 0.9") -> Finding:
    return Finding(code, "dropout-p-out-of-range", severity, where, message, "p=0.5")


def report(*findings: Finding, judged: tuple[str, ...] = ("PLC005", "PLC001", "LOS001")) -> Report:
    return Report("Net", list(findings), outcomes=[Outcome(code, "", "passed") for code in judged])


def accepted(*findings: Finding) -> list[Accepted]:
    return renew_baseline(report(*findings), [])


def new_and_known(now: Report, entries: list[Accepted]) -> tuple[list[str], list[str]]:
    told = apply_baseline(now, entries, "base.json")
    return [each.where for each in told.findings], [each.where for each in told.known]


@pytest.mark.parametrize(
    "later",
    [
        finding(message="p = 0.75, which is another number"),
        finding(message="p = 0.9 (12 times)"),
        finding(severity="info"),
        replace(finding(), try_next="p=0.2", name="renamed"),
    ],
    ids=["number", "repeats", "milder", "words"],
)
def test_a_finding_is_known_whatever_its_numbers_and_words(later: Finding) -> None:
    assert new_and_known(report(later), accepted(finding())) == ([], ["drop"])


@pytest.mark.parametrize(
    ("before", "later"),
    [
        ("layers.3.drop", "layers.4.drop"),
        ("layers.3.drop", "layers.*.drop"),
        ("layers.*.drop", "layers.0.drop"),
        ("net.2", "net.5"),
        ("0", "1"),
    ],
)
def test_a_finding_is_known_when_blocks_are_renumbered(before: str, later: str) -> None:
    assert new_and_known(report(finding(where=later)), accepted(finding(where=before))) == ([], [later])


@pytest.mark.parametrize(
    "later",
    [
        finding(where="other"),
        finding(where="encoder.drop"),
        finding(code="PLC001"),
        finding(severity="error"),
        finding(where="optimizer 1"),
    ],
    ids=["place", "deeper", "rule", "worse", "optimizer"],
)
def test_another_place_another_rule_and_a_worse_severity_are_new(later: Finding) -> None:
    assert new_and_known(report(later), accepted(finding(), finding(where="optimizer 0"))) == ([later.where], [])


def test_the_order_of_findings_does_not_matter() -> None:
    places = ["a", "b", "layers.0.drop", "c"]
    now = report(*(finding(where=place) for place in places))
    assert new_and_known(now, accepted(*(finding(where=place) for place in reversed(places))))[0] == []


def test_an_entry_accepts_one_finding_and_first_the_one_of_its_own_place() -> None:
    now = report(finding(where="net.2"), finding(where="net.5"))
    assert new_and_known(now, accepted(finding(where="net.5"))) == (["net.2"], ["net.5"])
    assert new_and_known(now, accepted(finding(where="net.1"), finding(where="net.7")))[0] == []


def test_an_entry_whose_rule_finds_nothing_any_more_is_stale_and_of_an_unjudged_rule_it_is_not() -> None:
    entries = accepted(finding(where="gone"), finding("LOS001", "loss"))
    told = apply_baseline(report(finding(where="here"), judged=("PLC005",)), entries, "base.json")
    assert told.notes == [
        "Stale in base.json: PLC005 dropout-p-out-of-range at gone is no longer found; --update-baseline removes it."
    ]
    assert {entry.where for entry in renew_baseline(report(judged=("PLC005",)), entries)} == {"loss"}


def test_what_has_become_worse_is_new_and_its_entry_is_not_stale() -> None:
    told = apply_baseline(report(finding(severity="error")), accepted(finding()), "base.json")
    assert (len(told.findings), told.notes) == (1, [])


def test_a_model_that_cannot_be_looked_at_is_never_accepted() -> None:
    broken = finding("DOC001", "", "error")
    assert accepted(broken) == []
    entries = [Accepted(broken.fingerprint, "DOC001", "", "error", "")]
    assert apply_baseline(report(broken), entries, "b").findings == [broken]


def test_a_baseline_of_a_real_model_survives_an_edit_of_it() -> None:
    def model(p: float, blocks: int) -> nn.Module:
        block = [nn.Sequential(nn.Linear(4, 4), nn.Dropout(p)) for _ in range(blocks)]
        return nn.Sequential(*block, nn.Linear(4, 1))

    entries = renew_baseline(diagnose(model(0.9, 1)), [])
    assert entries
    assert apply_baseline(diagnose(model(0.8, 4)), entries, "b").findings == []
    sicker = nn.Sequential(model(0.9, 1), nn.Dropout(0.95))
    assert [each.where for each in apply_baseline(diagnose(sicker), entries, "b").findings] != []


def test_it_is_written_in_an_order_of_its_own_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    write_baseline(file, accepted(finding(where="b"), finding(where="a"), finding("LOS001")))
    text = file.read_text()
    write_baseline(file, reversed(read_baseline(file)))
    assert file.read_text() == text
    assert [entry.where for entry in read_baseline(file)] == ["drop", "a", "b"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "base.json"
    write_baseline(file, accepted(finding()))
    before = file.read_text()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_baseline(file, accepted(finding(where="other")))
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"tool": "lightning', "is damaged: it is not valid JSON"),
        (b"\xff\xfe\x00", "is damaged: it is not valid JSON"),
        ("[]", "is not a baseline of `lightning-tricks doctor`; pass another file to `--baseline`"),
        ('{"name": "package"}', "is not a baseline of"),
        ('{"tool": "lightning-tricks doctor", "version": 2}', "has version 2, but only version 1 is supported"),
        ('{"tool": "lightning-tricks doctor", "version": 1}', "is damaged: `findings` must be a list, got None"),
        ('{"tool": "lightning-tricks doctor", "version": 1, "findings": [{"code": "A"}]}', "an entry must have finger"),
        ('{"tool": "lightning-tricks doctor", "version": 1, "findings": [3]}', "an entry must have fingerprint, code"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(content: str | bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        read_baseline(file)
    assert str(file) in str(error.value)


def test_an_entry_with_a_severity_that_is_none_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    write_baseline(file, accepted(finding()))
    content = json.loads(file.read_text())
    content["findings"][0]["severity"] = "fatal"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is damaged"):
        read_baseline(file)


def test_a_file_that_is_not_there_is_offered_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"The baseline .*none.json does not exist. `--update-baseline` creates it"
    ):
        read_baseline(tmp_path / "none.json")
