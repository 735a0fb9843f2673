"""A walk on other systems, simulated: no locks, files that cannot be replaced, pipes that end, paths and encodings."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from subprocesses import import_paths, run_forked

from lightning_tricks.cli import target
from lightning_tricks.cli.main import main
from lightning_tricks.core.atomic_files import write_atomically
from lightning_tricks.data.cache_writer import only_writer
from lightning_tricks.hydra.sweep_folder import only_sweep_in
from lightning_tricks.sweeps.sweep_records import JobRecord, read_job, write_job


def test_without_locks_sweeps_and_caches_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with only_sweep_in(tmp_path / "sweep"), only_writer(tmp_path / "cache"):
        assert (tmp_path / "sweep").is_dir()


class ReadBySomebody:
    """`os.replace` as on Windows, while another program reads the file for its first `times` calls."""

    def __init__(self, times: int) -> None:
        self.times, self.replace = times, os.replace

    def __call__(self, source: Any, destination: Any) -> None:
        self.times -= 1
        if self.times >= 0:
            raise PermissionError(errno.EACCES, "Access is denied", str(destination))
        self.replace(source, destination)


def test_a_file_that_is_being_read_is_replaced_as_soon_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", ReadBySomebody(3))
    write_atomically(tmp_path / "report.json", "new")
    assert (tmp_path / "report.json").read_text() == "new"
    monkeypatch.setattr(os, "replace", ReadBySomebody(2))
    write_job(tmp_path / "0", JobRecord("completed", 0.0, result=0.5))
    record = read_job(tmp_path / "0")
    assert record is not None
    assert record.result == 0.5
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["report.json", "sweep_job.json"]


def test_a_file_that_stays_locked_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", ReadBySomebody(1_000_000))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(PermissionError, match=r"report\.json"):
        write_atomically(tmp_path / "report.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_that_ends_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows raises EINVAL where others raise EPIPE."""

    class Closed:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

        def flush(self) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OSError, match="Invalid argument"):
        main(["list"])
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["list"]) == 141


def test_a_job_of_another_system_is_not_asked_for_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    record = JobRecord("running", 0.0, process=2**22 + 1)
    assert not record.is_alive()
    sent: list[Any] = []
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")  # signal 0 is Ctrl-C there
        windows.setattr(os, "kill", lambda *arguments: sent.append(arguments))
        alive = record.is_alive()
    assert alive
    assert not sent


def test_a_target_may_lie_in_a_folder_with_blanks_and_umlauts(tmp_path: Path) -> None:
    file = tmp_path / "Dokumente und Übungen" / "model file.py"
    file.parent.mkdir()
    file.write_text("def make():\n    return 'module', 'data'\n")
    assert target.load_target(f"{file}:make") == ("module", "data")


@pytest.mark.parametrize("target_text", ["model.py:", ":make", "model"])
def test_a_target_without_a_file_or_a_name_is_refused_with_both_forms(target_text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form pkg\.module:callable or path/file\.py:callable"):
        target.load_target(target_text)


@pytest.mark.parametrize("place", [r"C:\work\model.py", r"C:\my work\models\vit.py"])
def test_a_drive_letter_is_no_separator(place: str) -> None:
    with pytest.raises(ValueError, match="There is no file") as error:
        target.load_target(f"{place}:make")
    assert place in str(error.value)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-16"])
def test_a_preview_is_printed_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    words = ["preview", "tricks=[one_cycle]", "--epochs", "2", "--steps-per-epoch", "3"]
    environment = import_paths() | {"PYTHONIOENCODING": encoding}
    done = run_forked(["-m", "lightning_tricks", *words], cwd=tmp_path, environment=environment, encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lr")
