"""One thread for every test: two-process tests share two cores, and a thread pool must not exist before a fork."""

import sys

import pytest
import torch

torch.set_num_threads(1)


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
