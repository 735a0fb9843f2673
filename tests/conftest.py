"""One thread for every test: two-process tests share two cores, and a thread pool must not exist before a fork."""

import functools
import sys

import lightning.fabric.utilities.registry as lightning_registry
import lightning_fabric.utilities.registry as other_registry
import pytest
import torch

torch.set_num_threads(1)
for registry in (lightning_registry, other_registry):
    # each Trainer asks all installed packages for callbacks: 4 ms, a tenth of a tiny fit
    registry.entry_points = functools.cache(registry.entry_points)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """What a Trainer writes by default goes to a folder that is thrown away."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_stays_compiled():
    """What one test has compiled is not there in the next; the compiler is not imported for that."""
    yield
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if frames is not None and frames.cached_backends:
        torch._dynamo.reset()
