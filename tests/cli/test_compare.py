"""`lightning-tricks compare`: a sweep as a table, a picture, CSV and JSON; clear answers where there is none."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from lightning_tricks.cli.main import main
from lightning_tricks.sweeps.sweep_plots import plot_rows
from lightning_tricks.sweeps.sweep_records import JobRecord, SweepRecord, write_job, write_sweep
from lightning_tricks.sweeps.sweep_rows import read_rows

SPACE = {
    "lr": "tag(log,interval(1e-7,1))",
    "momentum": "tag(log1m,interval(0.4,0.999))",
    "width": "int(interval(1,64))",
    "net": "cnn,mlp",
}


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Six jobs, of which one failed and one has not begun."""
    return write_jobs(tmp_path / "sweep", 6)


def write_jobs(folder: Path, count: int) -> Path:
    values = [(10.0**-i, 1 - 0.5**i, 4 * i, "cnn" if i % 2 else "mlp") for i in range(1, count + 1)]
    jobs = [[f"lr={lr!r}", f"momentum={m!r}", f"width={w}", f"net={net}"] for lr, m, w, net in values]
    write_sweep(folder, SweepRecord("random", 0, count, [SPACE], [], jobs))
    for number, (lr, *_) in enumerate(values[:-1]):
        write_job(folder / str(number), JobRecord("completed", 0.0, 2.0))
        if number == 3:
            write_job(folder / "3", JobRecord("failed", 0.0, 1.0, error="ValueError: no"))
        else:
            (folder / str(number) / "metrics.csv").write_text(f"step,val_loss,val_acc\n9,{lr},{1 - lr}\n")
    return folder


def test_it_prints_the_best_job_first_and_how_far_the_sweep_is(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(swept)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["job", "status", *SPACE, "val_loss", "step", "wall_time", "stopped_by"]
    assert [line.split()[0] for line in lines[1:7]] == ["4", "2", "1", "0", "3", "5"]
    assert "ValueError: no" in lines[5]
    assert "6 jobs: 4 completed, 1 failed, 1 waiting; best val_loss 1e-05 (job 4, step 9)" in lines
    assert lines[-2] == f"best overrides: lr=1e-05 momentum={1 - 0.5**5!r} width=20 net=cnn"
    assert lines[-1] == "(the importance of the parameters is shown for 8 or more jobs)"


def test_from_eight_jobs_on_it_says_what_mattered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, numbers = write_jobs(tmp_path / "sweep", 10), tmp_path / "numbers.json"
    assert main(["compare", str(folder), "--json", str(numbers)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lr ") and "lower is better" in line for line in lines)
    assert {entry["key"] for entry in json.loads(numbers.read_text())["importance"]} == set(SPACE)


def test_the_only_candidate_is_the_metric_and_an_accuracy_is_the_better_the_higher(
    swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in swept.rglob("metrics.csv"):
        file.write_text(file.read_text().replace("val_loss", "train_loss"))
    assert main(["compare", str(swept)]) == 0
    assert "best val_acc 0.99999 (job 4, step 9)" in capsys.readouterr().out
    for file in swept.rglob("metrics.csv"):
        file.write_text(file.read_text().replace("val_acc", "score"))
    assert main(["compare", str(swept)]) == 2
    assert "Choose with --metric among score, train_loss." in capsys.readouterr().err


def test_csv_and_json_have_the_values_in_full(swept: Path, tmp_path: Path) -> None:
    table, numbers = tmp_path / "table.csv", tmp_path / "numbers.json"
    options = ["--metric", "val_acc", "--mode", "max", "--csv", str(table), "--json", str(numbers)]
    assert main(["compare", str(swept), *options]) == 0
    rows = list(csv.DictReader(table.open()))
    assert [row["job"] for row in rows] == list("012345")
    assert float(rows[4]["val_acc"]) == 1 - 1e-5
    assert rows[3]["stopped_by"] == "ValueError: no"
    found = json.loads(numbers.read_text())
    assert found["best_job"] == 4
    assert found["rows"][4]["values"] == {"lr": 1e-5, "momentum": 1 - 0.5**5, "width": 20, "net": "cnn"}
    assert found["importance"] == [], "four jobs say nothing about a parameter"


def test_the_picture_has_each_parameter_on_its_own_scale(swept: Path, tmp_path: Path) -> None:
    picture = tmp_path / "compare.png"
    assert main(["compare", str(swept), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    figure = plot_rows(read_rows(swept))
    scales = {axes.get_xlabel().split(",")[0]: axes.get_xscale() for axes in figure.axes if axes.get_xlabel()}
    assert scales == {"lr": "log", "momentum": "log", "width": "linear", "net": "linear"}
    momentum = next(axes for axes in figure.axes if axes.get_xlabel().startswith("momentum"))
    assert momentum.xaxis_inverted()
    assert momentum.xaxis.get_major_formatter()(0.01, 0) == "0.99"


@pytest.mark.parametrize(
    ("folder", "options", "status", "message"),
    [
        ("nowhere", [], 2, "There is no folder"),
        (".", [], 2, "is not a sweep itself. Name one of its sweeps (1)"),
        ("sweep/0", [], 2, "is a single run"),
        (
            "sweep",
            ["--metric", "val_f1"],
            1,
            "no job has logged `val_f1`. Choose with --metric among val_acc, val_loss.",
        ),
    ],
)
def test_where_there_is_nothing_to_compare_it_says_why_and_writes_no_picture(
    folder: str, options: list[str], status: int, message: str, swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (swept / "multirun.yaml").write_text("")
    picture = swept.parent / "compare.png"
    assert main(["compare", str(swept.parent / folder), *options, "--plot", str(picture)]) == status
    assert message in capsys.readouterr().err
    assert not picture.exists()


def test_a_sweep_that_has_only_begun_has_nothing_to_complain_of(
    swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 1, 2, 4):
        shutil.rmtree(swept / str(number))
    assert main(["compare", str(swept)]) == 0
    assert "no job has logged `val_loss` yet" in capsys.readouterr().out


def test_jobs_without_metrics_are_listed_all_the_same(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in swept.rglob("metrics.csv"):
        path.unlink()
    assert main(["compare", str(swept)]) == 1
    said = capsys.readouterr()
    assert "6 jobs: 4 completed, 1 failed, 1 waiting" in said.out
    assert "no metrics.csv below any job: give the Trainer `lightning.pytorch.loggers.CSVLogger`" in said.err
