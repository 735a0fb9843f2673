"""Every public callback on two processes: the same decisions everywhere, other data on each rank."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_ranks
from tiny import Net, fit, same
from tricks import TINY, public_callbacks
from two_ranks import WriteDown


def ranks_of(folder: Path) -> list[dict]:
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("name", public_callbacks())
def test_two_forked_ranks_agree(name: str, manual: bool, tmp_path: Path) -> None:
    strategy = "ddp_fork" if not manual else "ddp_fork_find_unused_parameters_true"
    fit(TINY[name](), WriteDown(tmp_path), net=Net(manual=manual), strategy=strategy, devices=2, max_epochs=2)
    first, second = ranks_of(tmp_path)
    assert first["trace"] == second["trace"]
    assert first["trace"]
    assert same(first["states"], second["states"])
    learned = [name for name in first["weights"] if "running" not in name]  # each rank has its own running statistics
    assert all(torch.equal(first["weights"][key], second["weights"][key]) for key in learned)


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "fsdp2"])
def test_two_ranks_agree_on_all_callbacks_at_once(strategy: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(two_ranks.__file__).parent), *sys.path])}
    command = [sys.executable, two_ranks.__file__, strategy, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    first, second = ranks_of(tmp_path)
    assert len(first["trace"]) == 12
    assert first["trace"] == second["trace"]
    assert same(first["states"], second["states"])
    if strategy == "fsdp2":
        assert "not traced under ModelParallelStrategy" in first["states"]["Doctor"]["report"]
        assert first["weights"]["head.weight"].numel() + second["weights"]["head.weight"].numel() == 8
