"""Signatures: the name of a torch function and the names of its arguments.

PyTorch has several spellings of one operation (``+``, ``torch.add``, ``Tensor.add_``, ``aten::add``); a trace uses one.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

_REFLECTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "div", "and", "or", "xor")
_DUNDERS = {f"__{mark}{name}__": name for name in _REFLECTED for mark in ("", "r", "i")}
_OPERATORS = {"getitem", "setitem", "neg", "pos", "abs", "invert", "lt", "gt", "le", "ge", "eq", "ne", *_REFLECTED}
_ONE_NAME = {
    "truediv": "div", "true_divide": "div", "divide": "div", "subtract": "sub", "multiply": "mul", "concat": "cat",
    "concatenate": "cat", "arctan": "atan", "native_dropout": "dropout", "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm", "native_batch_norm": "batch_norm", "cudnn_batch_norm": "batch_norm",
    "batch_norm_stats": "batch_norm", "unsafe_view": "view", "to_copy": "to", "slice": "getitem",
    "hstack": "cat", "vstack": "cat", "dstack": "cat", "column_stack": "cat", "absolute": "abs", "clip": "clamp",
    "less": "lt", "greater": "gt", "less_equal": "le", "greater_equal": "ge", "special_expit": "sigmoid",
    "uniform": "rand", "rand_like": "rand", "normal": "randn", "randn_like": "randn", "index_put": "setitem",
}  # fmt: skip

# for functions written in C, whose signatures Python cannot read
_BUILTIN = {
    "linear": "input weight bias",
    "bilinear": "input1 input2 weight bias",
    "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal scale",
    "batch_norm": "input weight bias running_mean running_var training momentum eps cudnn_enabled",
    "dropout": "input p train",
    "feature_dropout": "input p train",
    "alpha_dropout": "input p train",
    "softmax": "input dim dtype",
    "log_softmax": "input dim dtype",
    "lstm": "input hx params has_biases num_layers dropout train bidirectional batch_first",
    "addmm": "bias input weight",
    "where": "condition input other",
    "masked_fill": "input mask value",
    "cat": "tensors dim",
    "stack": "tensors dim",
    "bernoulli": "input p",
    "einsum": "equation operands",
    "prelu": "input weight",
    "embedding": "weight input",
    "getitem": "input index",
    "setitem": "input index value",
    "leaky_relu": "input negative_slope",
} | dict.fromkeys(("gru", "rnn_tanh", "rnn_relu"),
    "input hx params has_biases num_layers dropout train bidirectional batch_first"
) | dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    "input hx w_ih w_hh b_ih b_hh"
) | dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"),
    "input weight bias stride padding dilation groups"
) | dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    "input weight bias stride padding output_padding groups dilation"
)  # fmt: skip
_PLAIN = ("input", "other", "dim", "keepdim")


@cache
def name_of(function: Callable[..., Any]) -> str:
    """Return the normalized name of a torch function; ``""`` for the getter of an attribute that is not a tensor.

    Example:
        >>> import torch
        >>> name_of(torch.Tensor.__radd__), name_of(torch.Tensor.add_), name_of(torch.nn.functional.relu_)
        ('add', 'add', 'relu')
        >>> name_of(torch.Tensor.shape.__get__), name_of(torch.Tensor.T.__get__)
        ('', 'T')
    """
    name: str = getattr(function, "__name__", "")
    if name in ("__get__", "__set__", "__delete__"):
        owner = getattr(getattr(function, "__self__", None), "__name__", "")
        tensors = {"T": "T", "mT": "mT", "H": "H", "mH": "H", "data": "detach", "real": "real", "imag": "imag"}
        return tensors.get(owner, "") if name == "__get__" else ""
    name = _DUNDERS.get(name, name)
    if name.startswith("__") and name.endswith("__") and name[2:-2] not in _OPERATORS:
        return name  # `__float__` reads a number, `float` creates a tensor
    return _canonical(name)


@cache
def name_of_overload(overload: Any) -> str:
    """Return the normalized name of an operator below autograd, such as ``aten::add_.Tensor``."""
    return _canonical(overload._schema.name.partition("::")[2])


def _canonical(name: str) -> str:
    name = name.strip("_")
    return _ONE_NAME.get(name, name)


@cache
def argument_names(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return the names of the positional arguments, as far as they are known."""
    known = tuple(_BUILTIN[name].split()) if name in _BUILTIN else _PLAIN
    schema = getattr(function, "_schema", None)
    if schema is not None:
        return tuple("input" if argument.name == "self" else argument.name for argument in schema.arguments)
    if not inspect.isfunction(function):
        return known
    try:
        found = inspect.signature(function).parameters
    except ValueError:  # PyTorch's own wrapper around a method in C
        return known
    if any(value.kind is value.VAR_POSITIONAL for value in found.values()):
        return known
    return tuple("input" if argument == "self" else argument for argument in found)
