"""Single process: let one process of several run a step without waiting for the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch


@contextmanager
def single_process() -> Iterator[None]:
    """While entered, no process group is visible to synchronized batch norms and metrics.

    The group itself is not changed. A step that calls a collective without a check still waits for the other processes,
    unless this process is the only member of the group; then nothing is hidden (the ``Doctor`` callback ensures this).

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
