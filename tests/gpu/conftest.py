"""Tests of what differs on a GPU; `make gpu` runs them all, the ordinary suite the quick ones, on the CPU."""

from pathlib import Path

import pytest
import torch
from gpu_device import ASKED, DEVICE, ON_CUDA

HERE = Path(__file__).parent
SLOW = ["test_compile.py", "test_processes.py"]
"""Files of seconds each, whose subject the ordinary suite has in other tests."""

collect_ignore = [] if ASKED else SLOW


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def _device_as_found():
    """Refuse a device that is not there, and leave torch's switches as they were."""
    if ON_CUDA:
        assert torch.cuda.is_available(), f"LIGHTNING_TRICKS_DEVICE={DEVICE}, but torch finds no GPU"
    deterministic = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark
