"""lightning-tricks preview: the line of the documentation, the files that it writes, and what it refuses."""

import csv
from pathlib import Path

import pytest

from lightning_tricks import CosineWarmRestarts, preview_lr
from lightning_tricks.cli.main import main


def run(line: str) -> int:
    return main(["preview", *line.split()])


LINE = "tricks=[cosine_warm_restarts] tricks.cosine_warm_restarts.t_0=5 --epochs 40 --steps-per-epoch 100"


def test_it_prints_the_rate_and_its_factors_and_writes_figure_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure, table = tmp_path / "lr.png", tmp_path / "lr.csv"
    assert run(f"{LINE} --lr 0.1 --plot {figure} --csv {table}") == 0
    out = capsys.readouterr().out
    assert "first 0.1, highest 0.1 (step 0), last" in out
    assert "CosineWarmRestarts/schedule" not in out, "one factor alone has the curve of the rate"
    assert run(LINE.replace(" --", " tricks.cosine_warm_restarts.warmup=50st --", 1)) == 0
    assert "CosineWarmRestarts/schedule █" in (both := capsys.readouterr().out)
    assert "CosineWarmRestarts/warmup" in both
    assert figure.read_bytes().startswith(b"\x89PNG")
    with table.open(newline="") as file:
        numbers = [float(row["lr"]) for row in csv.DictReader(file)]
    assert numbers == list(preview_lr([CosineWarmRestarts(5)], epochs=40, steps_per_epoch=100, lr=0.1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tricks=[cosine]", "Could not load 'tricks/cosine'"),
        ("tricks=[lr_schedule]", "1 value(s) have no default and must be given: tricks.lr_schedule.schedule=..."),
        ("tricks=[one_cycle] tricks.one_cycle.total=-1", "`total` must be a duration > 0, got -1"),
        ("tricks=[one_cycle] tricks.other.t_0=3", "Could not override 'tricks.other.t_0'"),
        ("tricks=[one_cycle] --epochs 0", "`epochs` must be finite and >= 1, got 0"),
        ("cosine_decay", "`cosine_decay` is not an override. Select tricks by name, as in tricks=[cosine_decay]."),
        ("trick=[cosine_decay]", "the group is called `tricks`"),
        ("recipes=stabel", "Could not find 'recipes/stabel'. Unknown: stabel. Did you mean stable?"),
        ("tricks=[z_clipp]", "preview: Could not load 'tricks/z_clipp'. Unknown: z_clipp. Did you mean z_clip"),
        ("tricks=[", "no viable alternative at input '['"),
    ],
)
def test_what_cannot_be_shown_ends_with_status_2_and_one_message(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{line} --steps-per-epoch 5" + ("" if "--epochs" in line else " --epochs 4")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lightning-tricks preview: ")
    assert message in captured.err


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--plot", "--csv"):
        missing = tmp_path / "nowhere" / "lr.png"
        assert run(f"{LINE} {option} {missing}") == 2
        assert str(missing) in capsys.readouterr().err
