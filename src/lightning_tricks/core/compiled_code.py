"""Compiled code: whether this process compiles, and functions that the compiler skips."""

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., object])


def has_compiled() -> bool:
    """Return whether ``torch.compile`` was called in this process, for any function.

    Example:
        >>> has_compiled()
        False
    """
    # filled by each call of `torch.compile`, and cleared by `torch._dynamo.reset`; `torch.compiler.disable`, which
    # Lightning applies to `log`, fills in None
    backends = getattr(sys.modules.get("torch._dynamo.eval_frame"), "cached_backends", {})
    return any(callable(backend) for backend in backends.values())


def left_uncompiled(function: _Function) -> _Function:
    """Return a function that compiled code calls as it is; the same function if nothing is compiled.

    The compiler is imported only by programs that use it, because its import takes seconds.
    """
    if not has_compiled():
        return function
    free: _Function = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return free
