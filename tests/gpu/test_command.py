"""`make gpu` says what it would do where there is no GPU, and keeps what a part that is cut off has shown."""

import time
from pathlib import Path

import pytest
import torch

import gpu


def test_without_a_gpu_it_says_what_it_would_do_and_succeeds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "none")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("no GPU: ")
    assert all(part.name in told and part.shows in told for part in gpu.PARTS)
    assert not (tmp_path / "none").exists()


def test_the_parts_are_the_files_of_this_folder_and_end_in_time() -> None:
    files = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    assert {part.name for part in gpu.PARTS if part.is_tests} == files - {"command"}
    assert sum(part.seconds for part in gpu.PARTS) <= 90 * gpu.MINUTES
    assert all(part.seconds <= 30 * gpu.MINUTES for part in gpu.PARTS)


PRINTED = """\
tests/gpu/test_x.py::test_one[a b] PASSED   [ 33%]
tests/gpu/test_x.py::test_two FAILED        [ 66%]
SKIPPED [2] tests/gpu/test_x.py:7: this machine has one GPU
tests/gpu/test_x.py::test_three """


def test_what_a_part_has_shown_before_it_is_cut_off_is_kept() -> None:
    found = gpu.read_tests(PRINTED, None, 9.0)
    assert found.words == "1 passed, 1 failed, cut off"
    assert found.failed
    assert found.lines == ["failed: test_two", "skipped: this machine has one GPU"]
    assert gpu.read_tests("collected 0 items\nERROR: no such file", 4, 1.0).lines[-1] == "ERROR: no such file"
    figures = gpu.read_figures("noise\nfigure: a step   5 ms\nKilled", None, 9.0)
    assert figures.words == "1 figures, cut off"
    assert figures.lines == ["a step   5 ms"]


def test_the_table_has_a_row_for_each_part_also_for_those_that_were_not_reached() -> None:
    table = gpu.summary("cpu", {"precision": gpu.Outcome("3 passed", 2.0, False, ["a line"])}, gpu.PARTS)
    rows = table.splitlines()
    assert len(rows) == 2 + len(gpu.PARTS) + 1
    assert sum("not reached" in row for row in rows) == len(gpu.PARTS) - 1
    assert "    a line" in rows


def test_a_part_is_killed_with_its_processes_when_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '60']); print('figure:', p.pid, flush=True); p.wait()"
    monkeypatch.setattr(gpu, "command_of", lambda part, device: [gpu.sys.executable, "-c", child])
    found = gpu.run(gpu.Part("x", 1, False, "sleeps"), "cpu", 2.0, tmp_path / "log")
    assert found.failed
    assert found.seconds < 20
    (pid,) = found.lines
    deadline = time.monotonic() + 20
    while is_running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(int(pid))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody has waited for, does not."""
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
