"""`lightning-tricks doctor`: a report in five forms, an exit status, and a line where it cannot look."""

import json
import re
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


def test_sarif_is_a_log_with_the_users_file_and_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = file.with_suffix(".sarif")
    assert main(["doctor", f"{file}:sick", "--format", "sarif", "--output", str(log)]) == 0
    (run,) = json.loads(log.read_text())["runs"]
    result = next(result for result in run["results"] if result["ruleId"] == "PLC001")
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == (file.name, {"startLine": 11})


def test_the_verbose_text_has_a_line_for_each_rule(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", f"{file}:alone", "--select", "PLC,LOS001"])
    short = capsys.readouterr().out
    assert "Not checked: LOS001" in short
    assert main(["doctor", f"{file}:alone", "--select", "PLC,LOS001", "--verbose"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "not checked LOS001 softmax-before-cross-entropy: no batch was given" in lines
    assert any(line.startswith("found       PLC001 dropout-before-batchnorm: at body") for line in lines)
    assert any(line.startswith("passed      PLC005 dropout-p-out-of-range") for line in lines)
    assert not any(line.startswith("Not checked:") for line in lines)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("OPT001", r"optimizer 0, group 0: lr = 0.01, SGD \[0.01, 0.1\]"),
        ("OPT003", r"optimizer 0, group 0: weight_decay = 0, at most 0.001"),
        ("OPT004", r"\d+ parameters in optimizers, 0 trainable parameters in none"),
        ("DAT001", r"batch 0: mean -?0.\d+, std 1.\d+, from -2.\d+ to 2.\d+"),
        ("BEH001", r"outputs change by [\d.e-]+ when the inputs change"),
        ("BEH002", r"outputs change by [\d.e-]+ with another sample, allowed 1e-05"),
        ("BEH006", r"(\d+) of \1 parameters have a gradient"),
        ("BEH007", r"two passes in eval mode differ by 0, allowed 1e-06"),
    ],
)
def test_a_rule_that_passed_says_the_number_that_it_saw(
    file: Path, code: str, number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    main(["doctor", f"{file}:sound", "--select", code, "--verbose"])
    (line,) = [line for line in capsys.readouterr().out.replace("\n            ", " ").splitlines() if code in line]
    assert re.search(rf"^passed      {code} [a-z-]+: {number}", line), line


def test_only_new_findings_fail_against_a_baseline(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = file.parent / "base.json"
    against = ["doctor", f"{file}:sick", "--fail-on", "warning", "--baseline", str(base)]
    assert main([*against, "--update-baseline"]) == 0
    captured = capsys.readouterr()
    assert "known" in captured.out.splitlines()[0]
    assert f"baseline: {base} accepts" in captured.err
    accepted = base.read_text()
    assert main(against) == 0
    assert "PLC001 dropout-before-batchnorm (new)" not in capsys.readouterr().out
    sicker = CODE.replace("nn.BatchNorm1d(8), nn.ReLU()", "nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(1.0)")
    file.write_text(f"\n# lines move\n\n{sicker}")
    assert main(against) == 1
    out = capsys.readouterr().out
    assert "error    PLC005 dropout-p-out-of-range (new)" in out
    assert "1 new error" in out.splitlines()[0]
    assert "PLC001 dropout-before-batchnorm (new)" not in out
    assert main([*against, "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert "PLC005" in [finding["code"] for finding in report["findings"]]
    assert "PLC001" in [finding["code"] for finding in report["known"]]
    assert base.read_text() == accepted


def test_stale_entries_are_reported_and_removed_on_request(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = file.parent / "base.json"
    main(["doctor", f"{file}:sick", "--baseline", str(base), "--update-baseline"])
    against = ["doctor", f"{file}:sound", "--baseline", str(base)]
    capsys.readouterr()
    assert main(against) == 0
    assert "Stale in base.json: PLC001 dropout-before-batchnorm" in capsys.readouterr().out
    assert main([*against, "--update-baseline"]) == 0
    assert "Stale" not in capsys.readouterr().out
    assert "PLC001" not in base.read_text()


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, ["--baseline", "base.json"], "The baseline base.json does not exist. `--update-baseline` creates it."),
        ("{", ["--baseline", "base.json"], "The baseline base.json is damaged"),
        ('{"name": "mine"}', ["--baseline", "base.json"], "base.json is not a baseline of"),
        ('{"name": "mine"}', ["--baseline", "base.json", "--update-baseline"], "base.json is not a baseline of"),
        (None, ["--update-baseline"], "`--update-baseline` needs `--baseline FILE`"),
    ],
)
def test_a_baseline_that_cannot_be_used_ends_with_two_and_is_left_alone(
    file: Path,
    content: str | None,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(file.parent)
    if content is not None:
        Path("base.json").write_text(content)
    assert main(["doctor", f"{file}:sick", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert not Path("base.json").exists() if content is None else Path("base.json").read_text() == content


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
