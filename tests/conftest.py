"""One thread for every test: two-process tests share two cores, and a thread pool must not exist before a fork."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """What a Trainer writes by default goes to a folder that is thrown away."""
    monkeypatch.chdir(tmp_path)
