"""Without compile: run compiled modules and functions eagerly, because compiled code cannot be traced."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_compile() -> Iterator[None]:
    """While entered, the results of ``torch.compile`` run uncompiled.

    Example:
        >>> with without_compile():
        ...     pass
    """
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing the compiler takes seconds
        yield
        return
    import torch

    if hasattr(torch.compiler, "set_stance"):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        with sys.modules["torch._dynamo"].config.patch(disable=True):
            yield
