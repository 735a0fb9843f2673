"""Every public callback on two processes: the same decisions everywhere, other data on each rank."""

from pathlib import Path

import pytest
import torch
from ranks import SaveRank, load_ranks
from subprocesses import run_script
from tiny import Net, fit, same
from tricks import TINY, public_callbacks


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("name", public_callbacks())
def test_two_forked_ranks_agree(name: str, manual: bool, tmp_path: Path) -> None:
    strategy = "ddp_fork" if not manual else "ddp_fork_find_unused_parameters_true"
    fit(TINY[name](), SaveRank(tmp_path), net=Net(manual=manual), strategy=strategy, devices=2, max_epochs=2)
    first, second = load_ranks(tmp_path)
    assert first["trace"] == second["trace"]
    assert first["trace"]
    assert same(first["states"], second["states"])
    learned = [name for name in first["weights"] if "running" not in name]  # each rank has its own running statistics
    assert all(torch.equal(first["weights"][key], second["weights"][key]) for key in learned)


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "fsdp2"])
def test_two_ranks_agree_on_all_callbacks_at_once(strategy: str, tmp_path: Path) -> None:
    run = run_script("two_ranks", strategy, tmp_path, ranks=1 if strategy == "ddp_spawn" else 2)
    assert run.returncode == 0, run.stdout + run.stderr
    first, second = load_ranks(tmp_path)
    assert len(first["trace"]) == 12
    assert first["trace"] == second["trace"]
    assert same(first["states"], second["states"])
    if strategy == "fsdp2":
        assert "not traced under ModelParallelStrategy" in first["states"]["Doctor"]["report"]
        assert first["weights"]["head.weight"].numel() + second["weights"]["head.weight"].numel() == 8
