"""`lightning-tricks doctor`: a report in four forms, an exit status, and a line where it cannot look."""

import json
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main

CODE = """
from torch import nn
from neighbour import BATCHES
from tiny import Net, StatefulLoader

print("what the user's own code prints")

def sound():
    return Net(), StatefulLoader(batch_size=64)

class Sick(Net):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.ReLU())

def sick():
    return Sick(), StatefulLoader(batch_size=64)

def alone():
    return Sick()

class Wrong(Net):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(7, 1)

def wrong():
    return Wrong(), StatefulLoader(batch_size=64)

class Data:
    def prepare_data(self): ...
    def setup(self, stage): ...
    def train_dataloader(self): return StatefulLoader(batch_size=64)
    def val_dataloader(self): return None

def with_data():
    return Sick(), Data()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("BATCHES = 3\n")
    (tmp_path / "patients_file.py").write_text(CODE)
    return tmp_path / "patients_file.py"


def test_a_healthy_model_ends_with_zero(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"{file}:sound"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Net: healthy (")
    assert "own code prints" in captured.err


@pytest.mark.parametrize(("fail_on", "status"), [("error", 0), ("warning", 1), ("info", 1)])
def test_findings_at_the_bar_end_with_one(
    file: Path, fail_on: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", f"{file}:sick", "--fail-on", fail_on]) == status
    assert "PLC001 dropout-before-batchnorm" in capsys.readouterr().out


def test_an_error_ends_with_one_by_default(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"{file}:wrong"]) == 1
    assert "DOC001" in capsys.readouterr().out


def test_rules_can_be_chosen_and_places_left_out(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["doctor", f"{file}:sick", "--fail-on", "warning"]
    assert main([*base, "--select", "OPT,LOS"]) == 0
    assert main([*base, "--ignore", "dropout-before-batchnorm"]) == 0
    assert main([*base, "--ignore", "PLC001:body.*, PLC010"]) == 0
    assert main([*base, "--select", "PLC001", "--ignore", "PLC001:head"]) == 1


def test_without_data_the_static_rules_are_checked_and_with_a_datamodule_all(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", f"{file}:alone"]) == 0
    assert "(no batch was given)" in capsys.readouterr().out
    assert main(["doctor", f"{file}:with_data", "--fail-on", "warning"]) == 1
    assert "(no batch was given)" not in capsys.readouterr().out


def test_the_other_forms_hold_nothing_but_the_report(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", f"{file}:sick", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert "PLC001" in [finding["code"] for finding in report["findings"]]
    main(["doctor", f"{file}:sick", "--format", "html"])
    assert capsys.readouterr().out.startswith("<!doctype html>")
    main(["doctor", f"{file}:sick", "--format", "github"])
    assert f"::warning file={file.name},line=11,title=PLC001" in capsys.readouterr().out


def test_a_report_is_written_where_it_is_wanted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = file.with_suffix(".html")
    assert main(["doctor", f"{file}:sick", "--format", "html", "--output", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    out = capsys.readouterr().out
    assert out.startswith("Sick: not healthy (")
    assert f"report: {page}" in out
    assert main(["doctor", f"{file}:sick", "--output", str(file.parent / "nowhere" / "page.txt")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine.py"], "is not of the form"),
        (["nowhere.py:make"], "There is no file nowhere.py"),
        (["{file}:nothing"], "has no attribute 'nothing'"),
        (["{file}:sick", "--select", "PLX"], "`select`: 'PLX' is not a rule. Did you mean PLC"),
        (["{file}:sick", "--ignore", "PLC001x"], "`ignore`: 'PLC001x' is not a rule. Did you mean PLC001"),
    ],
)
def test_where_it_cannot_look_it_ends_with_two_and_a_line(
    file: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *(argument.format(file=file) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
