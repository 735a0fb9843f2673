"""Alone: let one process of several run a step without waiting for the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch


@contextmanager
def single_process() -> Iterator[None]:
    """While entered, whoever asks whether there is a process group is told no: synchronized batch norms and metrics.

    The group itself is left as it is. A step that calls a collective without asking waits for the others all the same,
    unless this process is the group's only member; then nothing need be hidden (the ``Doctor`` callback sees to that).

    Example:
        >>> with single_process():
        ...     torch.distributed.is_initialized()
        False
    """
    distributed: Any = torch.distributed
    if not distributed.is_available() or (distributed.is_initialized() and distributed.get_world_size() == 1):
        yield
        return
    with patch.object(torch.distributed, "is_initialized", lambda: False):
        yield
