"""Run markers: a control file belongs to one living run, and to nobody once the run is over or dead."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_tricks.engine.control import run_marker
from lightning_tricks.engine.control.run_marker import RunMarker, watched_files


def files(folder: Path) -> list[str]:
    return [watched.path.name for watched in watched_files(folder)]


def test_a_claim_keeps_others_out_until_it_is_released(tmp_path: Path) -> None:
    first = RunMarker(str(tmp_path / "runs" / "control.yaml"), [str(tmp_path / "job")])
    second = RunMarker(str(tmp_path / "runs" / "control.yaml"))
    third = RunMarker(str(tmp_path / "runs" / "control.yaml"))
    assert files(tmp_path) == ["control-2.yaml", "control-3.yaml", "control.yaml"]
    found = watched_files(tmp_path)[-1]
    assert (found.path, found.host, found.pid) == (Path(first.path), socket.gethostname(), os.getpid())
    assert found.belongs_to(tmp_path / "job")
    assert found.belongs_to(tmp_path / "runs")
    assert found.belongs_to(tmp_path)
    assert not found.belongs_to(tmp_path / "other")
    second.release()
    assert RunMarker(str(tmp_path / "runs" / "control.yaml")).path == second.path
    first.release()
    third.release()
    first.release()
    assert files(tmp_path) == ["control-2.yaml"]


def dead_process() -> int:
    return int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)


@pytest.mark.parametrize(
    ("host", "age", "alive"),
    [("here", 1.0, False), ("elsewhere", 1.0, True), ("elsewhere", 1000.0, False)],
)
def test_the_claim_of_a_run_that_was_killed_lapses(host: str, age: float, alive: bool, tmp_path: Path) -> None:
    marker = tmp_path / ".control.yaml.running"
    entry = {"folders": [], "host": socket.gethostname() if host == "here" else host, "pid": dead_process()}
    marker.write_text(json.dumps(entry))
    os.utime(marker, (time.time() - age, time.time() - age))
    assert files(tmp_path) == (["control.yaml"] if alive else [])
    again = RunMarker(str(tmp_path / "control.yaml"))
    assert Path(again.path).name == ("control-2.yaml" if alive else "control.yaml")
    again.release()


def test_a_living_run_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = RunMarker(str(tmp_path / "control.yaml"))
    marker = tmp_path / ".control.yaml.running"
    os.utime(marker, (0, 0))
    claim.beat()
    assert files(tmp_path) == [], "not more often than every few seconds"
    monkeypatch.setattr(run_marker, "BEAT", 0.0)
    claim.beat()
    assert files(tmp_path) == ["control.yaml"]
    marker.unlink()
    claim.beat()
    claim.release()


def test_a_marker_that_is_being_written_keeps_others_out_and_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".control.yaml.running").write_text("")
    assert files(tmp_path) == []
    assert RunMarker(str(tmp_path / "control.yaml")).path.endswith("control-2.yaml")


def test_where_signal_0_would_end_a_process_signs_of_life_alone_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise AssertionError("on Windows this is Ctrl-C")

    claim = RunMarker(str(tmp_path / "control.yaml"))
    monkeypatch.setattr(run_marker.os, "kill", refuse)
    monkeypatch.setattr(run_marker, "_on_windows", lambda: True)
    assert files(tmp_path) == ["control.yaml"]
    os.utime(tmp_path / ".control.yaml.running", (0, 0))
    assert files(tmp_path) == []
    claim.release()
