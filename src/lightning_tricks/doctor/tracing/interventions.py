"""Interventions: run a pass without dropout, or detect dropout and random numbers in eval mode."""

import linecache
import re
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightning_tricks.doctor.facts.behaviour_facts import DropoutCall
from lightning_tricks.doctor.facts.operations import DROPOUTS, RANDOM
from lightning_tricks.doctor.tracing.measure_operations import channel_variance
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.signatures import argument_names, name_of

_RATES = {"scaled_dot_product_attention": "dropout_p", "multi_head_attention_forward": "dropout_p"} | dict.fromkeys(
    ("lstm", "gru", "rnn_tanh", "rnn_relu"), "dropout"
)


class WithoutDropout(TorchFunctionMode):
    """While entered, dropout is the identity, and masks drawn by ``bernoulli`` are replaced by their mean.

    Attributes:
        channel_variances: variances of the input of each batch norm, in call order; the last ones correspond to a
            recorder's.

    Example:
        >>> with WithoutDropout():
        ...     torch.nn.functional.dropout(torch.ones(3), 0.5)
        tensor([1., 1., 1.])
    """

    def __init__(self) -> None:
        super().__init__()
        self.channel_variances: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, name_of(func)
        if name in DROPOUTS or name.endswith("alpha_dropout"):
            return args[0] if args else kwargs["input"]
        if name == "bernoulli":
            return _mean_mask(func, args, kwargs)
        if name in _RATES:
            args, kwargs = _with_argument(func, name, args, kwargs, _RATES[name], 0.0)
        if name == "batch_norm":
            self.channel_variances.append(channel_variance(args[0] if args else kwargs["input"]))
        return func(*args, **kwargs)


def _mean_mask(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if func.__name__.endswith("_"):
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        return args[0].copy_(p) if isinstance(p, Tensor) else args[0].fill_(p)
    p = args[1] if len(args) > 1 else kwargs.get("p")
    return args[0].clone() if p is None else torch.full_like(args[0], p)


def _with_argument(func: Any, name: str, args: Any, kwargs: Any, argument: str, value: object) -> tuple[Any, Any]:
    names = argument_names(func, name)
    place = names.index(argument) if argument in names else len(args)
    if place < len(args):
        return (*args[:place], value, *args[place + 1 :]), kwargs
    return args, {**kwargs, argument: value}


_OWN = __name__.partition(".")[0]


class Listener(TorchFunctionMode):
    """While entered, records active dropout and draws of random numbers.

    Args:
        stack: knows the module whose ``forward`` makes a call.

    Attributes:
        dropouts: active dropout calls.
        random: names of functions that drew random numbers, and ``argsort`` or ``topk`` if such numbers were ranked.
    """

    def __init__(self, stack: ModuleStack) -> None:
        super().__init__()
        self._stack = stack
        self.forget()

    def forget(self) -> None:
        """Start again."""
        self.dropouts: list[DropoutCall] = []
        self.random: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, name_of(func)
        if name in DROPOUTS:
            given = dict(zip(argument_names(func, name), args, strict=False)) | kwargs
            p, training = given.get("p", 0.5), given.get("training", given.get("train", True))
            if p and training:
                self.dropouts.append(DropoutCall(self._stack.path, name, float(p), _contains_true()))
        elif name in RANDOM or name == "uniform" or (name in ("argsort", "topk") and self.random):
            self.random.append(name)
        return func(*args, **kwargs)


def _contains_true() -> bool:
    """Return whether the line of the innermost call from outside of torch has the word ``True``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", _OWN):
        frame = frame.f_back
    return re.search(r"\bTrue\b", linecache.getline(frame.f_code.co_filename, frame.f_lineno)) is not None
