"""The demo: it runs as a stranger would run it, on every option that a CPU can serve, and learns."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from subprocesses import Completed, import_paths, run_forked, run_fresh

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "examples" / "train.py"


def train(folder: Path, *overrides: str, run_python: Callable[..., Completed] = run_forked) -> str:
    words = [str(TRAIN), f"hydra.run.dir={folder}/run", f"hydra.sweep.dir={folder}/sweep", *overrides]
    run = run_python(words, cwd=folder, environment=import_paths())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def figure(text: str, name: str) -> float:
    found = re.search(rf"^{name} +([-0-9.]+)$", text, flags=re.MULTILINE)
    assert found, text
    return float(found[1])


def test_the_script_is_short_enough_to_copy() -> None:
    assert len(TRAIN.read_text().splitlines()) <= 60


def test_the_demo_learns_and_writes_its_curves(tmp_path: Path) -> None:
    text = train(tmp_path, run_python=run_fresh)
    assert figure(text, "test accuracy") >= 0.97
    assert re.search(r"Best val_loss .* restored\. LR \S+ -> \S+ highest \S+$", text, flags=re.MULTILINE)
    assert "after a restart" not in text, "a combination of the demo's tricks is warned about"
    assert re.search(
        r"^LRFinder: learning rate 0\.0\d+: .* times smaller suits a training of 510 steps",
        text,
        flags=re.MULTILINE,
    )
    assert (tmp_path / "run" / "curves" / "lr_finder.png").stat().st_size > 10_000
    assert (tmp_path / "run" / "curves" / "curves.png").stat().st_size > 10_000
    header = (tmp_path / "run" / "curves" / "metrics.csv").read_text().splitlines()[0]
    for column in ("train_loss", "val_loss", "lr-AdamW", "CosineWarmRestarts/schedule", "grad_norm"):
        assert column in header.split(",")


@pytest.mark.parametrize("experiment", ["lstm", "diabetes"])
def test_the_experiments_learn(experiment: str, tmp_path: Path) -> None:
    text = train(tmp_path, f"experiment={experiment}")
    assert (
        figure(text, "test accuracy" if experiment == "lstm" else "test r2")
        > {"lstm": 0.9, "diabetes": 0.4}[experiment]
    )


@pytest.mark.parametrize("trainer", ["ddp", "ddp_fork", "ddp_spawn", "fsdp2"])
def test_the_demo_runs_on_every_strategy_that_a_cpu_can_serve(trainer: str, tmp_path: Path) -> None:
    text = train(tmp_path, f"trainer={trainer}", "trainer.max_epochs=3")
    assert figure(text, "test accuracy") > 0.7
    assert "shards nothing" not in text
    assert "train_loss" in (tmp_path / "run" / "curves" / "metrics.csv").read_text()


def test_a_strategy_that_shards_nothing_says_so(tmp_path: Path) -> None:
    text = train(
        tmp_path,
        "trainer=fsdp2",
        "trainer.max_epochs=1",
        "trainer.strategy.data_parallel_size=1",
        "trainer.strategy.tensor_parallel_size=2",
    )
    assert "ModelParallelStrategy shards nothing: each of the 2 processes has all parameters of CNN" in text


def test_sets_of_tricks_are_swept(tmp_path: Path) -> None:
    text = train(tmp_path, "experiment=plain", "tricks=[],[cosine_decay]", "trainer.max_epochs=1", "-m")
    assert len(re.findall(r"^test accuracy", text, flags=re.MULTILINE)) == 2
    assert "Error" not in text
