"""`lt_sweep=capacity` in a real application: it grows, stops, is resumed and extended, and is shown as a curve."""

import json
from pathlib import Path
from typing import Any

import pytest
import sweep_app
from hydra.core.hydra_config import HydraConfig
from sweep_app import sweep

from lightning_tricks.cli.main import main

OPTIONS = ("+lt_sweep=capacity", "hydra.sweeper.keys.units=model.width", "hydra.sweeper.keys.layers=model.layers")
GROWTH = [(16, 1), (32, 1), (64, 1), (32, 2), (32, 4)]


def score(cfg: Any) -> float:
    """Best at 32 units in 2 layers, apart from the seed."""
    sweep_app.RAN.append(str(HydraConfig.get().job.num))
    loss = 16 / min(cfg.model.width, 32) + 1 / min(cfg.model.layers, 2) + 0.01 * cfg.seed
    out = Path(HydraConfig.get().runtime.output_dir)
    (out / "metrics.csv").write_text(f"epoch,step,val_loss\n0,10,{loss}\n")
    return loss


def jobs_in(folder: Path) -> list[tuple[int, int, int]]:
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    return [tuple(int(text.partition("=")[2]) for text in job[-3:]) for job in jobs]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capacity sweep that nothing interrupted."""
    folder = tmp_path_factory.mktemp("capacity") / "whole"
    assert sweep(folder, *OPTIONS, task=score) == (0, "")
    return folder


def test_units_grow_then_layers_each_with_three_seeds(whole: Path) -> None:
    assert jobs_in(whole) == [(*size, seed) for size in GROWTH for seed in range(3)]


def test_compare_shows_a_curve_and_a_line_for_each_size(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = whole.parent / "capacity.png"
    assert main(["compare", str(whole), "--plot", str(figure)]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text[text.index("mean val_loss") :].splitlines()[1:6]]
    assert [tuple(map(int, line[:2])) for line in lines] == GROWTH
    assert lines[0][2:] == ["2.01", "0.01", "3"]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_failed_job_is_run_again_by_the_same_command_and_no_other(whole: Path, tmp_path: Path) -> None:
    def fails(cfg: Any) -> float:
        if cfg.model.width == 32 and cfg.seed == 1:
            raise ArithmeticError("told to fail")
        return score(cfg)

    status, text = sweep(tmp_path, *OPTIONS, task=fails)
    assert status == 1
    assert "told to fail" in text
    sweep_app.RAN.clear()
    assert sweep(tmp_path, *OPTIONS, task=score)[0] == 0
    assert len(sweep_app.RAN) == 3, "that job at each of three sizes with 32 units"
    assert sorted(jobs_in(tmp_path)) == sorted(jobs_in(whole))


def test_a_done_sweep_runs_nothing_and_a_larger_bound_extends_one(tmp_path: Path) -> None:
    small = "hydra.sweeper.capacity.max_units=16"
    assert sweep(tmp_path, *OPTIONS[:2], small, task=score)[0] == 0
    sweep_app.RAN.clear()
    assert sweep(tmp_path, *OPTIONS[:2], small, task=score)[0] == 0
    assert sweep_app.RAN == []
    assert sweep(tmp_path, *OPTIONS[:2], task=score)[0] == 0
    assert sweep_app.RAN == ["3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra.sweeper.capacity.seeds=[0]", "must be at least 2 different numbers"),
        ("hydra.sweeper.capacity.max_units=8", "`capacity.max_units` must be at least 16"),
        ("hydra.sweeper.keys.units=null", "`hydra.sweeper.keys.units`"),
        ("model.lr=0.1,0.2", "`model.lr` has several values"),
        ("model.width=8", "sets `model.width=8` itself"),
        ("hydra.sweeper.keys.units=model.hidden_units", "hidden_units"),
    ],
)
def test_bad_settings_fail_before_the_first_job_and_leave_no_folder(
    override: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    status, text = sweep(folder, *OPTIONS, override, task=score)
    assert status == 1
    assert message in text
    assert not folder.exists()
