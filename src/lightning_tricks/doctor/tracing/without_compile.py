"""Eager: let compiled modules and functions run as they were written, for what is compiled cannot be followed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_compile() -> Iterator[None]:
    """While entered, whatever ``torch.compile`` returned runs uncompiled.

    Example:
        >>> with without_compile():
        ...     pass
    """
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes seconds
        yield
        return
    import torch

    if hasattr(torch.compiler, "set_stance"):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        with sys.modules["torch._dynamo"].config.patch(disable=True):
            yield
