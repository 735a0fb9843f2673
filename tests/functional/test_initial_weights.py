"""Initial weights: each scheme has the moments of its formula, and the signal keeps the scale that theory predicts."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_tricks.functional.initial_weights import SCHEMES, activation_gain, draw_weight, layer_fans

SHAPE, FANS = (300, 200), (200, 300)
STDS = {
    "he_normal": 1.5 / math.sqrt(200),
    "he_uniform": 1.5 / math.sqrt(200),
    "xavier_normal": 1.5 * math.sqrt(2 / 500),
    "xavier_uniform": 1.5 * math.sqrt(2 / 500),
    "lecun_normal": 1 / math.sqrt(200),
    "orthogonal": 1.5 / math.sqrt(300),
    "fan_in_uniform": 1 / math.sqrt(3 * 200),
    "lsuv": 1.5 / math.sqrt(300),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_has_the_mean_and_deviation_of_its_formula(scheme: str) -> None:
    weight = draw_weight(SHAPE, scheme, FANS, 1.5, torch.Generator().manual_seed(0))
    assert weight.shape == SHAPE
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert weight.std().item() == pytest.approx(STDS[scheme], rel=0.02)
    kurtosis = float((weight / weight.std()).pow(4).mean())
    is_uniform = scheme.endswith("uniform")
    assert kurtosis == pytest.approx(1.8 if is_uniform else 3.0, rel=0.05)


@pytest.mark.parametrize(
    ("scheme", "peer"),
    [
        ("he_normal", lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g)),
        ("he_uniform", lambda w, g: nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g)),
        ("xavier_normal", lambda w, g: nn.init.xavier_normal_(w, math.sqrt(2), generator=g)),
        ("xavier_uniform", lambda w, g: nn.init.xavier_uniform_(w, math.sqrt(2), generator=g)),
        ("orthogonal", lambda w, g: nn.init.orthogonal_(w, math.sqrt(2), generator=g)),
    ],
)
def test_the_draws_of_a_convolution_are_those_of_torch(scheme: str, peer) -> None:
    conv = nn.Conv2d(6, 8, 3)
    mine = draw_weight(conv.weight.shape, scheme, layer_fans(conv), math.sqrt(2), torch.Generator().manual_seed(1))
    torch.testing.assert_close(mine, peer(torch.empty_like(conv.weight), torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "selu", "linear"])
def test_a_gain_is_that_of_torch_where_torch_has_one(name: str) -> None:
    assert activation_gain(name) == nn.init.calculate_gain(name)
    assert activation_gain("leaky_relu", 0.3) == nn.init.calculate_gain("leaky_relu", 0.3)
    assert activation_gain("leaky_relu") == nn.init.calculate_gain("leaky_relu", 0.01)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "elu", "softplus", "hardswish", "relu6"])
def test_another_gain_keeps_the_second_moment_of_a_normal_signal(name: str) -> None:
    signal = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    output = activation_gain(name) * getattr(F, name)(signal)
    assert output.square().mean().item() == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("name", ["batch_norm", "no_such_function", ""])
def test_what_is_no_activation_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`nonlinearity` must be an activation"):
        activation_gain(name)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "selu", "gelu", "sigmoid", "linear"])
def test_over_fifty_layers_the_variance_is_that_of_theory(name: str) -> None:
    """Of a wide layer q = g² E[f(sqrt(q') z)²], where q' is that of the layer before (Poole et al. 2016)."""
    function = {"linear": lambda x: x, "leaky_relu": lambda x: F.leaky_relu(x, 0.2)}.get(name) or getattr(
        torch, name, getattr(F, name, None)
    )
    gain, width = activation_gain(name, 0.2 if name == "leaky_relu" else None), 400
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(64, width, generator=generator)
    normal = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    measured, expected, before = [], [], torch.ones(())
    for depth in range(50):
        weight = draw_weight((width, width), "he_normal", (width, width), gain, generator)
        signal = (signal if depth == 0 else function(signal)) @ weight.T
        q = gain**2 * (1.0 if depth == 0 else function(before.sqrt() * normal).square().mean())
        measured.append(signal.square().mean().log().item())
        expected.append(math.log(q))
        before = signal.square().mean()  # one layer at a time: over many, the chance of each adds up
    assert measured == pytest.approx(expected, abs=0.35)
    assert sum(measured) / 50 == pytest.approx(sum(expected) / 50, abs=0.05)
