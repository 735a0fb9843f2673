"""Sweep rows: every state in which a job can be is a row, whoever swept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_tricks.sweeps.sweep_records import JobRecord, SweepRecord, read_job, write_job, write_sweep
from lightning_tricks.sweeps.sweep_rows import read_rows

JOBS = [[f"model.lr={lr}", "+net=cnn", "epochs=3"] for lr in ("0.001", "0.1", "1.0", "0.01", "0.5", "2.0")]


def write_metrics(folder: Path, *values: object, metric: str = "val_loss") -> None:
    (folder / "version_0").mkdir(parents=True, exist_ok=True)
    lines = [f"{epoch},{10 * epoch + 9},{value},0.5" for epoch, value in enumerate(values)]
    (folder / "version_0" / "metrics.csv").write_text("\n".join([f"epoch,step,{metric},lr-SGD", *lines]))


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Six jobs: completed, failed, killed, running, diverged, and one that has not begun."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_sweep(tmp_path, SweepRecord("random", 0, 6, [{}], ["epochs=3"], JOBS))
    endings = {
        0: JobRecord("completed", 0.0, 12.5, stopped_by="stopped by EarlyStopping: no better val_loss in 3 checks"),
        1: JobRecord("failed", 0.0, 1.0, error="ValueError: no data"),
        2: JobRecord("running", 0.0, process=gone.pid),
        3: JobRecord("running", 0.0, process=os.getppid()),
        4: JobRecord("completed", 0.0, 2.0, stopped_by="ended at max_epochs=3"),
    }
    for number, record in endings.items():
        write_job(tmp_path / str(number), record)
    write_metrics(tmp_path / "0", 0.9, 0.3, 0.4)
    write_metrics(tmp_path / "3", 0.7)
    write_metrics(tmp_path / "4", "nan", "inf")
    return tmp_path


def test_a_running_record_with_the_id_of_this_process_or_of_none_is_of_a_job_that_has_ended() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not JobRecord("running", 0.0, process=os.getpid()).is_alive(), "the id was used again"
    assert not JobRecord("running", 0.0, process=gone.pid).is_alive()
    assert JobRecord("running", 0.0, process=os.getppid()).is_alive()
    assert not JobRecord("completed", 0.0, process=os.getppid()).is_alive()
    assert JobRecord("running", 0.0, process=gone.pid, machine="another").is_alive(), "which cannot be seen from here"


def test_every_job_is_a_row_with_its_state_values_best_and_end(swept: Path) -> None:
    sweep = read_rows(swept)
    states = ["completed", "failed", "killed", "running", "completed", "waiting"]
    assert [(row.job, row.status) for row in sweep.rows] == list(enumerate(states))
    assert sweep.keys == ["model.lr", "net"]
    assert [row.values["model.lr"] for row in sweep.rows] == [0.001, 0.1, 1.0, 0.01, 0.5, 2.0]
    first, failed, _, running, diverged, _ = sweep.rows
    assert (first.best, first.step, first.wall_time) == (0.3, 19, 12.5)
    assert first.stopped_by.startswith("stopped by EarlyStopping")
    assert failed.stopped_by == "ValueError: no data"
    assert running.best == 0.7
    assert diverged.diverged
    assert diverged.stopped_by == "val_loss was never finite; ended at max_epochs=3"
    assert [row.job for row in sweep.ranked()][:2] == [0, 3]
    assert read_rows(swept, mode="max").ranked()[0].best == 0.9


def test_a_table_that_is_being_written_is_read_as_far_as_it_goes(swept: Path) -> None:
    path = swept / "0" / "version_0" / "metrics.csv"
    for length in range(len(path.read_text())):
        path.write_text(path.read_text()[: -1 if length else None])
        assert read_rows(swept).rows[0].best in (0.9, 0.3, 0.0, None)  # 0.: a number cut short


@pytest.mark.parametrize(
    ("typed", "scale"),
    [("lr=tag(log, interval(1e-4, 1))", "log"), ("lr=interval(1e-4, 1)", "linear"), ("lr=1e-4,1e-2,1", "log")],
)
def test_the_sweep_of_another_sweeper_is_read_from_hydras_files(typed: str, scale: str, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text(f"hydra:\n  overrides:\n    task:\n    - '{typed}'\n")
    for job, lr in enumerate((1e-4, 1e-2, 1.0)):
        folder = tmp_path / f"job_{job}" / ".hydra"
        folder.mkdir(parents=True)
        (folder / "overrides.yaml").write_text(f"- lr={lr}\n- epochs=3\n")
        (folder / "hydra.yaml").write_text(f"hydra:\n  job:\n    name: train\n    num: {job}\n")
        write_metrics(folder.parent, lr)
    sweep = read_rows(tmp_path)
    assert [(row.job, row.status, row.values, row.best) for row in sweep.rows] == [
        (job, "no record", {"lr": lr}, lr) for job, lr in enumerate((1e-4, 1e-2, 1.0))
    ]
    assert sweep.scales == {"lr": scale}


def test_what_a_job_does_not_override_is_looked_up_in_its_configuration(tmp_path: Path) -> None:
    write_sweep(tmp_path, SweepRecord("random", 0, 1, [{}], [], [["lr=0.1"], ["lr=0.1", "model.width=8"]]))
    for job in range(2):
        (tmp_path / str(job) / ".hydra").mkdir(parents=True)
        (tmp_path / str(job) / ".hydra" / "config.yaml").write_text("lr: 0.1\nmodel:\n  width: 16\n")
    assert [row.values["model.width"] for row in read_rows(tmp_path).rows] == [16, 8]


def test_a_folder_that_is_no_sweep_is_told_apart(tmp_path: Path, swept: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        read_rows(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"neither a multirun\.yaml nor numbered jobs"):
        read_rows(tmp_path / "empty")
    with pytest.raises(ValueError, match="single run"):
        read_rows(swept / "0")


def test_a_run_within_a_job_is_part_of_the_job(swept: Path) -> None:
    (swept / "0" / "fold_1" / ".hydra").mkdir(parents=True)
    write_metrics(swept / "0" / "fold_1", 0.1)
    assert len(read_rows(swept).rows) == 6
    assert read_rows(swept).rows[0].best == 0.1


def test_a_folder_of_sweeps_names_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "0" / ".hydra").mkdir(parents=True)
        (tmp_path / name / "multirun.yaml").write_text("")
    with pytest.raises(ValueError, match=r"Name one of its sweeps \(2\):\n.*a\n.*b"):
        read_rows(tmp_path)


def test_a_record_that_cannot_be_read_is_named(swept: Path) -> None:
    (swept / "0" / "sweep_job.json").write_text("{")
    with pytest.raises(ValueError, match=r"0/sweep_job\.json is not a record"):
        read_job(swept / "0")
