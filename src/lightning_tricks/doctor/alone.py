"""Alone: let one process of several run a step without waiting for the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch


@contextmanager
def run_alone() -> Iterator[None]:
    """While entered, whoever asks whether there is a process group is told no: synchronized batch norms and metrics.

    The group itself is left as it is. A step that calls a collective without asking waits for the others all the same.

    Example:
        >>> with run_alone():
        ...     torch.distributed.is_initialized()
        False
    """
    if not torch.distributed.is_available():
        yield
        return
    with patch.object(torch.distributed, "is_initialized", lambda: False):
        yield
