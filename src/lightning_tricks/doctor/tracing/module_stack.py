"""Module stack: find the module whose ``forward`` makes a call, with global hooks instead of hooks on modules."""

import inspect
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks
from torch.utils.hooks import RemovableHandle


class ModuleStack(AbstractContextManager["ModuleStack"]):
    """While entered, tracks which modules are being called.

    PyTorch's global hooks are used, because hooks on modules would have to be removed and TorchScript does not allow
    them.

    Args:
        root: the model; a module outside of it counts as part of its caller.

    Attributes:
        calls: the arguments of the first call, by path, of the root and of modules that only the root calls.
        results: the return values of the root, call by call.
        failed: the innermost module whose ``forward`` raised; ``None`` if none did.

    Example:
        >>> import torch
        >>> root = nn.Sequential(nn.Linear(1, 1))
        >>> with ModuleStack(root) as stack:
        ...     _ = root(torch.ones(1, 1))
        >>> list(stack.calls), stack.path
        (['0', ''], '')
    """

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self._paths = {id(module): path.replace("_orig_mod.", "").replace("._orig_mod", "")
                       for path, module in root.named_modules()}  # fmt: skip
        self._entered: list[str] = []
        self._handles: list[RemovableHandle] = []
        self.calls: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.results: list[Any] = []
        self.failed: str | None = None

    @property
    def path(self) -> str:
        """The module whose ``forward`` is running."""
        return self._entered[-1] if self._entered else ""

    def __enter__(self) -> "ModuleStack":
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enter_module),
            hooks.register_module_forward_hook(self._leave_module, always_call=True, **_with_kwargs()),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        self._entered.append(self._paths.get(id(module), self.path))

    def _leave_module(self, module: nn.Module, args: Any, *rest: Any) -> None:
        kwargs, result = rest if len(rest) == 2 else ({}, rest[0])  # no kwargs after an exception
        if sys.exc_info()[1] is not None and self.failed is None:
            self.failed = self.path
        if self._entered:
            self._entered.pop()
        path = self._paths.get(id(module))
        if path is not None and not any(self._entered) and result is not None:
            self.calls.setdefault(path, (args, kwargs))
        if module is self._root and result is not None:
            self.results.append(result)


def _with_kwargs() -> dict[str, bool]:
    """Return the option that passes keyword arguments to a global hook; torch 2.4 does not have it."""
    known = inspect.signature(hooks.register_module_forward_hook).parameters
    return {"with_kwargs": True} if "with_kwargs" in known else {}
