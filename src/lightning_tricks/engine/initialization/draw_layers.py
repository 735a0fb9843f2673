"""Draw layers: the initial weights and biases of linear, convolutional and recurrent layers."""

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.functional.initial_weights import activation_gain, draw_weight, layer_fans


def draw_layer(path: str, layer: nn.Module, scheme: str, gain: float, seed: int | str) -> dict[str, Tensor]:
    """Return initial values for the parameters of a layer, by name in the layer.

    Biases are 0. In recurrent layers each gate is drawn separately: input weights by the scheme, recurrent weights
    orthogonal; the forget gate of an LSTM has bias 1.

    Args:
        path: the path of the layer in its model; with the seed, it determines the draws.
        layer: a linear, convolutional or recurrent layer.
        scheme: one of ``SCHEMES``.
        gain: the gain of the activation that follows; recurrent layers have their own.
        seed: seed of the draws.

    References:
        Jozefowicz, Zaremba & Sutskever, An empirical exploration of recurrent network architectures, 2015, section 3.

    Example:
        >>> drawn = draw_layer("rnn", nn.LSTM(3, 2), "xavier_uniform", 1.0, seed=0)
        >>> drawn["bias_ih_l0"]
        tensor([0., 0., 1., 1., 0., 0., 0., 0.])
        >>> block = drawn["weight_hh_l0"][:2]
        >>> torch.allclose(block @ block.T, torch.eye(2), atol=1e-6)
        True
    """
    drawn: dict[str, Tensor] = {}
    is_recurrent = isinstance(layer, (nn.RNNBase, nn.RNNCellBase))
    for name, value in layer.named_parameters(recurse=False):
        generator = torch.Generator().manual_seed(random.Random(f"{seed}/{path}.{name}").getrandbits(63))
        if name.startswith("bias"):
            drawn[name] = _bias(layer, name, value)
        elif is_recurrent:
            drawn[name] = torch.cat(list(_gates(layer, name, value, scheme, generator)))
        elif scheme in ("orthogonal", "lsuv"):
            drawn[name] = _orthogonal(layer, value, gain if scheme == "orthogonal" else 1.0, generator)
        else:
            drawn[name] = draw_weight(value.shape, scheme, layer_fans(layer), gain, generator)
    return drawn


def _bias(layer: Any, name: str, value: Tensor) -> Tensor:
    bias = torch.zeros(value.shape)
    if isinstance(layer, (nn.LSTM, nn.LSTMCell)) and name.startswith("bias_ih"):
        bias[layer.hidden_size : 2 * layer.hidden_size] = 1.0  # one of two biases that are added
    return bias


def _gates(layer: Any, name: str, value: Tensor, scheme: str, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the matrix of each gate."""
    rows = value.shape[0] if name.startswith("weight_hr") else layer.hidden_size
    shape = (rows, value.shape[1])
    scheme = "orthogonal" if name.startswith("weight_hh") else scheme
    gain = activation_gain("relu") if getattr(layer, "nonlinearity", "") == "relu" else 1.0
    for _ in range(value.shape[0] // rows):
        yield draw_weight(shape, scheme, (shape[1], shape[0]), 1.0 if scheme == "orthogonal" else gain, generator)


def _orthogonal(layer: Any, value: Tensor, gain: float, generator: torch.Generator) -> Tensor:
    """Return a weight that is orthogonal from inputs to outputs, group by group."""
    groups, is_transposed = int(getattr(layer, "groups", 1)), getattr(layer, "transposed", False)
    first, second, *kernel = value.shape
    rows, columns = (second, first // groups) if is_transposed else (first // groups, second)
    blocks = [draw_weight((rows, columns, *kernel), "orthogonal", (1, 1), gain, generator) for _ in range(groups)]
    return torch.cat([block.transpose(0, 1) if is_transposed else block for block in blocks])


@torch.no_grad()
def write_values_(parameter: Any, values: Tensor) -> None:
    """Write values into a parameter of any dtype, device and sharding."""
    if hasattr(parameter, "placements"):
        from torch.distributed.tensor import distribute_tensor

        mesh = parameter.device_mesh
        values = distribute_tensor(values.to(mesh.device_type, parameter.dtype), mesh, parameter.placements)
    parameter.copy_(values)
