"""Initial weights: variance-preserving draws for a weight, and the gain of the activation that follows it."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCHEMES = (
    "he_normal",
    "he_uniform",
    "xavier_normal",
    "xavier_uniform",
    "lecun_normal",
    "orthogonal",
    "fan_in_uniform",
    "lsuv",
)
_NONLINEARITY = {"he_normal": "relu", "he_uniform": "relu"}
_OF_TORCH = ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu")
_SLOPES = {"leaky_relu": 0.01, "prelu": 0.25, "rrelu": 11 / 48}
_WITHOUT_GAIN = ("softmax", "log_softmax", "softmin", "threshold", "hardshrink", "softshrink", "tanhshrink")


def activation_gain(name: str, slope: float | None = None) -> float:
    r"""Return the factor that keeps the scale of a signal through an activation.

    For the activations that :func:`torch.nn.init.calculate_gain` supports, its value; for others :math:`1 /
    \sqrt{E[f(z)^2]}` with a standard normal :math:`z`, which agrees with the value for ReLU. Softmax and the shrinkage
    functions have gain 1.

    Args:
        name: the name of the activation in ``torch.nn.functional``, or ``linear``.
        slope: slope of a leaky or parametric ReLU for negative inputs; ``None``: torch's default.

    Raises:
        ValueError: an unknown activation.

    Example:
        >>> [round(activation_gain(name), 3) for name in ("relu", "tanh", "gelu", "silu", "linear")]
        [1.414, 1.667, 1.534, 1.677, 1.0]
        >>> round(activation_gain("leaky_relu", 0.2), 3)
        1.387

    References:
        He et al., Delving deep into rectifiers, 2015, equations 10 and 15.
    """
    if name in _WITHOUT_GAIN:
        return 1.0
    if name in _SLOPES:
        return nn.init.calculate_gain("leaky_relu", _SLOPES[name] if slope is None else slope)
    if name in _OF_TORCH:
        return float(nn.init.calculate_gain(name))  # type: ignore[arg-type]
    return _second_moment_gain("sigmoid" if name == "glu" else name)


@lru_cache(maxsize=64)
def _second_moment_gain(name: str) -> float:
    function: Any = getattr(F, name, None)
    points = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    density = torch.exp(-0.5 * points**2)
    try:
        values: Tensor = function(points)
        moment = float((values**2 * density).sum() / density.sum())
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"`nonlinearity` must be an activation of `torch.nn.functional`, got {name!r}.") from error
    return 1.0 / math.sqrt(moment)


def default_gain(scheme: str) -> float:
    """Return the gain of a scheme for an unknown activation: that of ReLU for He's schemes, otherwise 1."""
    return activation_gain(_NONLINEARITY.get(scheme, "linear"))


def layer_fans(layer: nn.Module) -> tuple[float, float]:
    """Return the fan-in and the fan-out of a linear or convolutional layer.

    Groups count separately. In a transposed convolution, each output uses ``1 / stride`` of the kernel.

    Example:
        >>> layer_fans(nn.Linear(3, 5)), layer_fans(nn.Conv2d(4, 8, 3, groups=2))
        ((3.0, 5.0), (18.0, 36.0))
        >>> layer_fans(nn.ConvTranspose2d(4, 8, 4, stride=2))
        (16.0, 128.0)
    """
    weight: Any = layer.weight
    shape, groups = tuple(weight.shape), int(getattr(layer, "groups", 1))
    positions = math.prod(shape[2:])
    if getattr(layer, "transposed", False):
        stride: Any = layer.stride
        return shape[0] / groups * positions / math.prod(stride), float(shape[1] * positions)
    return float(shape[1] * positions), shape[0] / groups * positions


def draw_weight(
    shape: Sequence[int],
    scheme: str,
    fans: tuple[float, float],
    gain: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return initial values of a weight whose first dimension is the outputs.

    With fan-in :math:`n`, fan-out :math:`m` and gain :math:`g`, the standard deviation is :math:`g / \sqrt n` (He),
    :math:`g \sqrt{2 / (n + m)}` (Xavier) or :math:`1 / \sqrt n` (LeCun). Orthogonal rows or columns have length
    :math:`g`; ``fan_in_uniform`` is :math:`U(-1 / \sqrt n, 1 / \sqrt n)`; ``lsuv`` starts from orthogonal weights.

    Args:
        shape: the shape of the weight, with at least two dimensions.
        scheme: one of ``SCHEMES``.
        fans: fan-in and fan-out.
        gain: the gain of the activation that follows; not used by LeCun's scheme and ``fan_in_uniform``.
        generator: a CPU generator; ``None``: torch's default.

    Returns:
        A float32 tensor on the CPU.

    References:
        Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, equation 16.
        He et al., Delving deep into rectifiers, 2015, equation 10. LeCun et al., Efficient backprop, 1998, section 4.6.
        Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear networks, 2014.

    Example:
        >>> weight = draw_weight((256, 100), "he_normal", (100, 256), gain=2**0.5)
        >>> bool((weight.std() - (2 / 100) ** 0.5).abs() < 0.01)
        True
    """
    values = torch.empty(*shape)
    if scheme in ("orthogonal", "lsuv"):
        return nn.init.orthogonal_(values, gain, generator=generator)
    fan_in, fan_out = fans
    if scheme == "fan_in_uniform":
        return nn.init.uniform_(values, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
    family, _, kind = scheme.partition("_")
    std = {
        "he": gain / math.sqrt(fan_in),
        "xavier": gain * math.sqrt(2 / (fan_in + fan_out)),
        "lecun": 1 / math.sqrt(fan_in),
    }[family]
    if kind == "normal":
        return nn.init.normal_(values, 0.0, std, generator=generator)
    return nn.init.uniform_(values, -math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)
