"""Lazy memory: make lazy modules lazy again after a pass that initialized their parameters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def remember_lazy(model: nn.Module) -> Callable[[], None]:
    """Return a function that makes initialized lazy parameters lazy again.

    Example:
        >>> model = nn.LazyLinear(1)
        >>> restore = remember_lazy(model)
        >>> _ = model(torch.ones(1, 2))
        >>> restore()
        >>> type(model).__name__, nn.parameter.is_lazy(model.weight)
        ('LazyLinear', True)
    """
    modules = [(module, type(module)) for module in model.modules() if hasattr(module, "cls_to_become")]
    tensors: list[Any] = [*model.parameters(), *model.buffers()]
    lazy = [(tensor, type(tensor)) for tensor in tensors if nn.parameter.is_lazy(tensor)]

    def restore() -> None:
        # undoes `materialize` and the first call of a lazy module
        for tensor, uninitialized in lazy:
            if not nn.parameter.is_lazy(tensor):
                tensor.data = torch.empty(0, device=tensor.device, dtype=tensor.dtype)
                tensor.__class__ = uninitialized
        for module, kind in modules:
            module.__class__ = kind

    return restore
