"""The random sweeper in a real application: resumed, extended, refused, never one job stopping another."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sweep_app
from subprocesses import run_script
from sweep_app import quadratic, sweep

from lightning_tricks.hydra.sweep_folder import only_sweep_in
from lightning_tricks.reports.curves import read_metrics
from lightning_tricks.sweeps.sweep_records import JobRecord, write_job

SPACE = ("model.lr=tag(log, interval(1e-3, 1))", "model.width=int(interval(16, 256))", "model.net=cnn,mlp")
NINE = ("hydra.sweeper.n_trials=9", "hydra.sweeper.seed=7", *SPACE)
FOUR = ("hydra.sweeper.n_trials=4", *NINE[1:])
TWO = ("hydra.sweeper.n_trials=2", *NINE[1:])


def read(folder: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.glob(pattern))}


def left_by(folder: Path) -> dict[str, str]:
    """What the jobs were told, and what they made of it."""
    found = (
        read(folder, "*/.hydra/config.yaml") | read(folder, "*/.hydra/overrides.yaml") | read(folder, "*/logs/*.csv")
    )
    numbers = read(folder, "*/.hydra/hydra.yaml")
    return found | {name: text[text.index("  job:") : text.index("env_set")] for name, text in numbers.items()}


def first(count: int, folder: Path) -> dict[str, str]:
    return {name: text for name, text in left_by(folder).items() if int(name.split("/")[0]) < count}


def start_process(folder: Path, *overrides: str, **environment: str) -> subprocess.CompletedProcess:
    options = ["-m", "hydra/sweeper=lightning_tricks_random", f"hydra.sweep.dir={folder}", *sweep_app.QUIET, *overrides]
    return run_script("sweep_app", *options, cwd=folder.parent, **environment)


def result(folder: Path, number: int) -> dict:
    return json.loads((folder / str(number) / "sweep_job.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of nine jobs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("sweeps") / "whole"
    assert sweep(folder, *NINE)[0] == 0
    return folder


def test_every_job_has_concrete_overrides_within_its_space(whole: Path) -> None:
    lines = [text.splitlines() for text in read(whole, "*/.hydra/overrides.yaml").values()]
    assert len(lines) == 9
    for lr, width, net in lines:
        assert 1e-3 <= float(lr.removeprefix("- model.lr=")) <= 1
        assert 16 <= int(width.removeprefix("- model.width=")) <= 256
        assert net in ("- model.net=cnn", "- model.net=mlp")
    assert (whole / "multirun.yaml").exists()
    assert result(whole, 3)["stopped_by"] == "ended at max_epochs=2"


def test_each_job_says_what_it_returned_and_the_end_has_the_best_as_a_line_to_paste(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "sweep"
    with caplog.at_level("INFO"):
        assert sweep(folder, *FOUR)[0] == 0
    results = [result(folder, number)["result"] for number in range(4)]
    lines = [record.message for record in caplog.records]
    for number in range(4):
        best = min(results[: number + 1])
        expected = f"Job {number} returned {results[number]:.6g}; best so far {best:.6g} (job {results.index(best)})"
        assert expected in lines
    winner = results.index(min(results))
    overrides = " ".join(json.loads((folder / "sweep.json").read_text())["jobs"][winner])
    assert any(f"\nBest: job {winner} returned {min(results):.6g}: {overrides}" in line for line in lines)


def returns_nothing(cfg: Any) -> None:
    quadratic(cfg)


def test_jobs_that_return_nothing_are_judged_by_what_they_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "sweep"
    with caplog.at_level("INFO"):
        assert sweep(folder, *FOUR, task=returns_nothing)[0] == 0
    found = [read_metrics(folder / str(number) / "logs" / "metrics.csv")["val_loss"][-1][1] for number in range(4)]
    lines = [record.message for record in caplog.records]
    for number in range(4):
        best = min(found[: number + 1])
        job = found.index(best)
        assert f"Job {number} reached val_loss {found[number]:.6g}; best so far {best:.6g} (job {job})" in lines
    winner = found.index(min(found))
    overrides = " ".join(json.loads((folder / "sweep.json").read_text())["jobs"][winner])
    assert any(f"\nBest: job {winner} reached val_loss {min(found):.6g}: {overrides}" in line for line in lines)


def test_a_sweep_killed_in_job_7_resumes_and_equals_the_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    assert start_process(folder, *NINE, KILL="7").returncode == -9
    assert result(folder, 6)["status"] == "completed"
    assert result(folder, 7)["status"] == "running"
    before = (folder / "6" / "sweep_job.json").read_text()
    assert sweep(folder, *NINE)[0] == 0
    assert left_by(folder) == left_by(whole)
    assert (folder / "6" / "sweep_job.json").read_text() == before


def test_failed_jobs_do_not_stop_the_others_and_are_run_again_with_those_that_are_missing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sweep"
    monkeypatch.setenv("FAIL", "0")
    monkeypatch.setenv("EXIT", "2")
    status, text = sweep(folder, *FOUR)
    assert status == 1
    assert "2 of 4 jobs failed; the others were run." in text
    assert re.search(r"#0 model\.lr=.*ArithmeticError: job 0 was told to fail\n  #2 .*sys\.exit\(3\)", text)
    assert [result(folder, i)["status"] for i in range(4)] == ["failed", "completed", "failed", "completed"]
    monkeypatch.delenv("FAIL")
    monkeypatch.delenv("EXIT")
    shutil.rmtree(folder / "3")
    sweep_app.RAN.clear()
    assert sweep(folder, *FOUR)[0] == 0
    assert sweep_app.RAN == ["0", "2", "3"]
    assert left_by(folder) == first(4, whole)


def test_more_trials_extend_a_sweep_and_fewer_leave_it_alone(whole: Path, tmp_path: Path) -> None:
    assert sweep(tmp_path, *TWO)[0] == 0
    assert sweep(tmp_path, FOUR[0], *SPACE)[0] == 0  # without a seed: the recorded one
    assert left_by(tmp_path) == first(4, whole)
    sweep_app.RAN.clear()
    assert sweep(tmp_path, *TWO)[0] == 0
    assert sweep_app.RAN == []
    assert len(json.loads((tmp_path / "sweep.json").read_text())["jobs"]) == 4


def test_a_seed_that_is_not_given_is_drawn_once_and_recorded(tmp_path: Path) -> None:
    assert sweep(tmp_path / "a", "hydra.sweeper.n_trials=2", "hydra.sweeper.method=sobol", *SPACE)[0] == 0
    seed = json.loads((tmp_path / "a" / "sweep.json").read_text())["seed"]
    again = ("hydra.sweeper.n_trials=2", "hydra.sweeper.method=sobol", f"hydra.sweeper.seed={seed}", *SPACE)
    assert sweep(tmp_path / "b", *again)[0] == 0
    assert left_by(tmp_path / "a") == left_by(tmp_path / "b")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("hydra.sweeper.seed=8", *SPACE), "hydra.sweeper.seed: 7 there, 8 now"),
        (("model.lr=interval(0.1, 1)", *SPACE[1:]), r"tag\(log,interval\(1e-3,1\)\).*there"),
        ((*SPACE, "seed=1"), r"fixed overrides: \[\] there, \['seed=1'\] now"),
        (("hydra.sweeper.method=sobol", *SPACE), "hydra.sweeper.method: random there, sobol now"),
    ],
)
def test_another_sweep_in_the_same_folder_is_refused(changed: tuple[str, ...], message: str, whole: Path) -> None:
    before = left_by(whole)
    status, text = sweep(whole, "hydra.sweeper.n_trials=2", *changed)
    assert status == 1
    assert re.search(message, text)
    assert left_by(whole) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.lr=interval(1, 0.1)"], "interval(1, 0.1) is empty: `low` must be less than `high`"),
        (["model.lr=tag(log, interval(0, 1))"], "must be > 0, got 0"),
        (["model.learning_rate=interval(0, 1)"], "Could not override 'model.learning_rate'"),
        (["model.lr=interval(0, 1)", "hydra.sweeper.n_trials=0"], "`hydra.sweeper.n_trials` must be at least 1, got 0"),
        (["model.lr=interval(0, 1)", "hydra.sweeper.seed=-1"], "`hydra.sweeper.seed` must be at least 0, got -1"),
        (["model.lr=interval(0, 1)", "hydra.sweeper.method=halton"], "'halton'"),
        (["model.lr=0.1"], "nothing to draw"),
        (["model.lr=interval(0, 1)", "hydra.sweep.subdir=same"], "share a folder"),
        (["hydra.sweeper.ablate=model.nothing"], "nothing to disable at `model.nothing`"),
        (["hydra.sweeper.stages=[{a: 'interval(0, 1)'}]", "model.lr=interval(0, 1)"], "Could not override 'a'"),
    ],
)
def test_bad_input_fails_before_the_first_job_and_leaves_no_folder(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    status, text = sweep(tmp_path / "sweep", "hydra.sweeper.n_trials=2", *overrides)
    assert status == 1
    assert message in text
    assert not (tmp_path / "sweep").exists()


def test_jobs_of_another_sweeper_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    status, text = sweep(tmp_path, *TWO)
    assert status == 1
    assert "contains 0 of another sweep" in text
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_a_process_that_a_job_started_refuses_to_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    status, text = sweep(tmp_path / "sweep", *TWO)
    assert status == 1
    assert "hydra/callbacks=lightning_tricks_ddp" in text


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_two_ranks_of_a_job_have_the_same_drawn_values(strategy: str, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    options = ("hydra.sweeper.n_trials=1", SPACE[0])  # without a seed: a process that draws draws another value
    if strategy == "ddp":
        run = start_process(folder, "hydra/callbacks=lightning_tricks_ddp", *options, STRATEGY="ddp")
        assert run.returncode == 0, run.stderr
    else:
        assert sweep(folder, *options, task=sweep_app.fit_on_two_ranks)[0] == 0
    ranks = [(folder / "0" / f"rank{rank}").read_text() for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    (drawn,) = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert ranks[0].startswith(drawn[0].removeprefix("model.lr="))


def test_a_folder_is_swept_by_one_process_at_a_time(tmp_path: Path) -> None:
    with only_sweep_in(tmp_path):
        status, text = sweep(tmp_path, *TWO)
    assert status == 1
    assert "is currently running the sweep" in text


def test_a_job_that_still_runs_is_not_run_beside_itself(tmp_path: Path) -> None:
    assert sweep(tmp_path, *TWO)[0] == 0
    write_job(tmp_path / "1", JobRecord("running", 0.0, process=os.getppid()))
    status, text = sweep(tmp_path, *TWO)
    assert status == 1
    assert f"Job 1 in {tmp_path} is running as process {os.getppid()}" in text


def test_a_grid_runs_every_combination(tmp_path: Path) -> None:
    grid = ("hydra.sweeper.method=grid", "model.net=cnn,mlp", "seed=range(0,2)")
    assert sweep(tmp_path, *grid)[0] == 0
    found = list(read(tmp_path, "*/.hydra/overrides.yaml").values())
    assert found == [f"- model.net={net}\n- seed={seed}\n" for net in ("cnn", "mlp") for seed in range(2)]
