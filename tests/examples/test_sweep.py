"""The demo's sweep: real trainings, drawn, recorded and compared."""

from pathlib import Path

from subprocesses import import_paths, run_forked

from lightning_tricks.sweeps.sweep_rows import read_rows

ROOT = Path(__file__).parents[2]


def test_the_demos_sweep_trains_and_can_be_compared(tmp_path: Path) -> None:
    small = ["hydra.sweeper.n_trials=2", "trainer.max_epochs=1", "hydra.sweep.dir=sweep"]
    words = [str(ROOT / "examples" / "train.py"), "-m", "experiment=sweep", *small]
    run = run_forked(words, cwd=tmp_path, environment=import_paths())
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 of 2 jobs are done. To compare them: lightning-tricks compare sweep" in run.stdout
    sweep = read_rows(tmp_path / "sweep")
    assert sweep.keys == ["model.lr", "optimizer.momentum", "model.width", "data.batch_size"]
    assert sweep.scales == {
        "model.lr": "log", "optimizer.momentum": "log1m", "model.width": "log", "data.batch_size": "linear",
    }  # fmt: skip
    for row in sweep.rows:
        assert row.status == "completed"
        assert row.best is not None
        assert row.stopped_by == "ended at max_epochs=1"
        assert isinstance(row.values["model.width"], int)
