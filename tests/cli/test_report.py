"""The command renders reports anew and prints checklists, and answers what is not a report."""

from pathlib import Path

import pytest

from lightning_tricks.cli.main import main
from lightning_tricks.reports.run_record import RunRecord
from lightning_tricks.reports.series import Series


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record = RunRecord("Net", "completed", epochs=2, steps=4, metrics={"val_loss": Series((2, 4), (0.5, 0.25))})
    (tmp_path / "report.json").write_text(record.to_json())
    return tmp_path


def test_a_report_is_printed_and_rendered(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--html", str(run / "new.html")]) == 0
    assert "Net trained for 2 epochs (4 steps" in capsys.readouterr().out
    assert "<h1>Run of Net</h1>" in (run / "new.html").read_text()
    assert main(["report", str(run), str(run / "report.json")]) == 0
    assert capsys.readouterr().out.count("Net trained") == 2


def test_a_checklist_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checklist", str(run / "report.json")]) == 0
    assert capsys.readouterr().out.startswith("1. The loss fits the task")


@pytest.mark.parametrize("command", ["report", "checklist"])
def test_what_is_not_a_report_is_answered(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert "report.json" in capsys.readouterr().err
    (tmp_path / "report.json").write_text("[]")
    assert main([command, str(tmp_path)]) == 2
    assert "not the report.json of a run" in capsys.readouterr().err


def test_several_runs_come_on_one_page(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run / "b"
    other.mkdir()
    (other / "report.json").write_text((run / "report.json").read_text().replace("0.25", "0.125"))
    page = run / "runs.html"
    assert main(["report", str(run), str(other / "report.json"), "--html", str(page)]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    text = page.read_text()
    assert "<h1>Comparison of 2 runs</h1>" in text
    assert f"val_loss: {run.name} from 0.5 to 0.25; b from 0.5 to 0.125." in text
