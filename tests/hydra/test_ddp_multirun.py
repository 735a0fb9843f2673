"""hydra/callbacks=lightning_tricks_ddp: real child processes, values drawn at random, a clean house after each job."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobStatus
from lightning.fabric.strategies.launchers import subprocess_script as fabric_launcher
from lightning.pytorch.strategies.launchers import subprocess_script as pytorch_launcher
from omegaconf import OmegaConf
from subprocesses import Completed, import_paths, run_forked, run_fresh

from lightning_tricks.hydra.ddp_multirun import DDPMultirun, program_of_this_process

DDP = "hydra/callbacks=lightning_tricks_ddp"
# `lr` is drawn again by each reader: whoever starts the other rank must hand the value on.
CONFIG = """
lr: ${draw:}
same: ${lr}
job: ${hydra:job.num}
devices: 2
strategy: ddp
tricks: {cosine_decay: {_target_: lightning_tricks.CosineDecay, end_factor: '${draw:}'}}
"""
APP = """
import json, os, random, sys
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

OmegaConf.register_new_resolver("draw", lambda: random.SystemRandom().random())


@hydra.main(version_base="1.3", config_path=".", config_name="app")
def main(cfg):
    before = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE") if name in os.environ]
    import torch
    from tiny import Net, trainer, weights
    from lightning_tricks.hydra import instantiate_callbacks

    clean = not torch.distributed.is_initialized()
    net = Net(lr=cfg.lr)
    runner = trainer(*instantiate_callbacks(cfg.tricks), strategy=cfg.strategy, devices=cfg.devices, max_epochs=1)
    runner.fit(net)
    seen = dict(lr=cfg.lr, same=cfg.same, job=cfg.job, end=cfg.tricks.cosine_decay.end_factor)
    seen |= dict(before=before, clean=clean, weight=float(weights(net)["head.weight"].sum()))
    seen |= dict(overrides=list(HydraConfig.get().overrides.task))
    Path(HydraConfig.get().runtime.output_dir, f"rank{runner.global_rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
"""


def sweep(folder: Path, *overrides: str, run: Callable[..., Completed] = run_forked) -> Completed:
    (folder / "app.yaml").write_text(CONFIG)
    (folder / "app.py").write_text(APP)
    environment = import_paths()
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE"):  # which another test may have left here
        environment.pop(name, None)
    words = [str(folder / "app.py"), "-m", "hydra.sweep.dir=sweep", *overrides]
    return run(words, cwd=folder, environment=environment)


def ranks_of(folder: Path, job: int) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((folder / "sweep" / str(job)).glob("rank*.json"))]


def test_ranks_have_the_same_drawn_values_and_the_next_job_finds_a_clean_house(tmp_path: Path) -> None:
    """The second job, in one process, shows what the first has left behind."""
    run = sweep(tmp_path, DDP, "devices=2,1")
    assert run.returncode == 0, run.stdout + run.stderr
    first, second = ranks_of(tmp_path, 0)
    assert first["lr"] == first["same"] == second["lr"] == second["same"]
    for key in ("end", "weight", "overrides", "job"):
        assert first[key] == second[key], key
    (alone,) = ranks_of(tmp_path, 1)
    assert alone["clean"]
    assert not alone["before"]
    assert alone["lr"] != first["lr"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.py", "app.yaml", "sweep"]  # no second multirun
    assert "Experimental rerun" not in run.stderr


def test_joblibs_workers_start_the_script_and_not_themselves(tmp_path: Path) -> None:
    """In a worker the running program is joblib's. The second job, at the same time, needs no children.

    An interpreter that multiprocessing has forked would wait at its end until joblib's workers have been idle for long.
    """
    words = [DDP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "devices=2,1"]
    run = sweep(tmp_path, *words, run=run_fresh)
    assert run.returncode == 0, run.stdout + run.stderr
    first, second = ranks_of(tmp_path, 0)
    for key in ("lr", "same", "weight", "overrides"):
        assert first[key] == second[key], key
    (alone,) = ranks_of(tmp_path, 1)
    assert alone["lr"] != first["lr"]


def hydra_config(cwd: str | None = None) -> Any:
    hydra = {"job": {"name": "train"}, "runtime": {"cwd": cwd or os.getcwd()}, "launcher": None, "sweeper": None}
    return OmegaConf.create({"hydra": hydra})


def begin_and_end(callback: DDPMultirun, config: Any, *, inside: Any, status: JobStatus = JobStatus.COMPLETED) -> None:
    callback.on_job_start(config, task_function=lambda cfg: None)
    try:
        inside()
    finally:
        callback.on_job_end(config, SimpleNamespace(status=status))  # type: ignore[arg-type]


def test_what_starts_children_is_put_back_and_so_is_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    original = fabric_launcher._hydra_subprocess_cmd
    assert pytorch_launcher._hydra_subprocess_cmd is original

    def inside() -> None:
        command, folder = pytorch_launcher._hydra_subprocess_cmd(1)
        assert command[-2] == "--experimental-rerun"
        assert Path(command[-1]).exists()
        assert folder == os.getcwd()
        assert fabric_launcher._hydra_subprocess_cmd is not original
        os.environ |= {"LOCAL_RANK": "0", "MASTER_PORT": "2"}
        files.append(Path(command[-1]))

    files: list[Path] = []
    begin_and_end(DDPMultirun(), hydra_config(), inside=inside)
    assert fabric_launcher._hydra_subprocess_cmd is pytorch_launcher._hydra_subprocess_cmd is original
    assert os.environ["MASTER_PORT"] == "1"
    assert "LOCAL_RANK" not in os.environ
    assert not files[0].parent.exists()


def test_processes_that_somebody_else_started_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    original = pytorch_launcher._hydra_subprocess_cmd
    seen = []
    begin_and_end(
        DDPMultirun(), hydra_config(), inside=lambda: seen.append(pytorch_launcher._hydra_subprocess_cmd is original)
    )
    assert seen == [True]


def test_a_child_that_repeats_the_sweep_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard against a Lightning that makes its children's commands elsewhere."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit, match=r"LOCAL_RANK=1 was started with the command of the whole sweep.*ddp_spawn"):
        DDPMultirun().on_multirun_start(hydra_config())
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "torchrun's")
    DDPMultirun().on_multirun_start(hydra_config())


def test_a_lightning_without_the_name_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    original = fabric_launcher._hydra_subprocess_cmd
    monkeypatch.delattr(pytorch_launcher, "_hydra_subprocess_cmd")
    callback = DDPMultirun()
    with pytest.raises(RuntimeError, match=r"lightning.pytorch.*no longer has `_hydra_subprocess_cmd`.*ddp_spawn"):
        callback.on_job_start(hydra_config(), task_function=lambda cfg: None)
    callback.on_job_end(hydra_config(), SimpleNamespace(status=JobStatus.FAILED))  # type: ignore[arg-type]
    assert fabric_launcher._hydra_subprocess_cmd is original


def test_a_job_whose_child_failed_does_not_take_the_sweep_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's observer kills the main process some seconds later, when the next job may be under way."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    main_process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    observer = fabric_launcher._ChildProcessObserver(child_processes=[child], main_pid=main_process.pid, sleep_period=1)
    try:
        begin_and_end(DDPMultirun(), hydra_config(), inside=observer.start, status=JobStatus.FAILED)
        assert child.returncode == 1
        observer.join(10)
        assert observer not in threading.enumerate()
        assert main_process.poll() is None
    finally:
        main_process.kill()


def test_a_program_is_known_by_its_script_or_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert program_of_this_process() == [os.path.abspath("train.py")]
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="pkg.train"))
    assert program_of_this_process() == ["-m", "pkg.train"]


def test_a_module_that_works_in_its_own_folder_finds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="pkg.train"))
    seen = []
    begin_and_end(DDPMultirun(), hydra_config("/original"), inside=lambda: seen.append(os.environ["PYTHONPATH"]))
    assert seen == [os.pathsep.join(["/original", "elsewhere"])]
    assert os.environ["PYTHONPATH"] == "elsewhere"
