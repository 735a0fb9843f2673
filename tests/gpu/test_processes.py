"""Several processes on one GPU or on two, and the devices that a process is allowed to see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu_device import ACCELERATOR, ON_CUDA
from ranks import load_ranks
from subprocesses import SCRIPTS, import_paths
from tiny import same


def start(strategy: str, out: Path, devices: int, node: int, port: int, **environment: str) -> subprocess.Popen[str]:
    """Start one node of two, or all processes of one node."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPTS / "device_ranks.py"), ACCELERATOR, strategy, str(devices), str(out)]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(node)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=import_paths() | place | environment,
    )


def finish(*started: subprocess.Popen[str]) -> None:
    for process in started:
        output, _ = process.communicate(timeout=150)
        assert process.returncode == 0, output[-3000:]


def test_two_processes_share_one_device_with_gloo(tmp_path: Path) -> None:
    """Two nodes of one device each are the way in which Lightning lets two processes have the same GPU."""
    port = 29_500 + os.getpid() % 1000
    finish(*[start("gloo", tmp_path, devices=1, node=node, port=port) for node in (0, 1)])
    first, second = load_ranks(tmp_path)
    assert len(first["trace"]) == 12
    assert first["trace"] == second["trace"]
    assert same(first["states"], second["states"])


if ON_CUDA:
    several = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="this machine has one GPU")

    @several
    @pytest.mark.parametrize("strategy", ["nccl", "fsdp2"])
    def test_two_devices_agree(strategy: str, tmp_path: Path) -> None:
        finish(start(strategy, tmp_path, devices=2, node=0, port=29_400 + os.getpid() % 90))
        first, second = load_ranks(tmp_path)
        assert first["trace"] == second["trace"]
        assert same(first["states"], second["states"])

    def test_a_process_that_sees_part_of_the_devices_trains_on_what_it_sees(tmp_path: Path) -> None:
        """The last device, by its identifier: of a GPU, or of a MIG slice where there is one."""
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        name = seen.split(",")[-1] if seen else str(torch.cuda.device_count() - 1)
        finish(start("single", tmp_path, devices=1, node=0, port=29_300, CUDA_VISIBLE_DEVICES=name))
        (only,) = load_ranks(tmp_path, 1)
        assert len(only["trace"]) == 12
