"""Library casts: keep float64 where installed libraries cast to float32."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parents[2])
_INSTALLED = ("site-packages", "dist-packages")


class KeepDouble(TorchFunctionMode):
    """While entered, casts to float32 in the code of installed libraries are casts to float64.

    Libraries cast so that half precision does not overflow in a softmax or a loss; in float64 the cast would reduce the
    precision. Casts in user code are not changed.

    Example:
        >>> with KeepDouble():  # this is not the code of an installed library
        ...     torch.ones(1, dtype=torch.float64).to(torch.float32).dtype
        torch.float32
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the function; in library code, with float64 instead of float32."""
        kwargs = kwargs or {}
        lowers = func is Tensor.float or any(each is torch.float32 for each in (*args, *kwargs.values()))
        if not lowers or not _is_called_by_library():
            return func(*args, **kwargs)
        if func is Tensor.float:
            return args[0].double()
        return func(*map(_raised, args), **{name: _raised(each) for name, each in kwargs.items()})


def _raised(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def _is_called_by_library() -> bool:
    """Return whether the innermost code on the stack outside of torch and this file belongs to an installed library."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_TORCH, "<")):
        frame = frame.f_back
    name = frame.f_code.co_filename
    return name.startswith(_OURS) or any(part in Path(name).parts for part in _INSTALLED)
