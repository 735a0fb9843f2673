"""FSDP2 on two processes clips as one process with all the data does, and both ranks know the same."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from sharded_clipping import CASES, run, run_on
from tiny import same


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: Any) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(run_on, (port, folder), nprocs=2, start_method="fork")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_sharded_clipping_equals_that_of_one_process(case: str, ranks: list[dict[str, Any]]) -> None:
    first, second = (rank[case] for rank in ranks)
    alone = run(case, rank=None, strategy=None)
    assert first["skipped"] == second["skipped"] == alone["skipped"] == 2
    assert same(first["state"], second["state"])
    assert same(first["weights"], second["weights"])
    torch.testing.assert_close(first["weights"], alone["weights"], rtol=0, atol=1e-6)
    assert first["seen"] == pytest.approx(alone["seen"], rel=1e-5, nan_ok=True)
