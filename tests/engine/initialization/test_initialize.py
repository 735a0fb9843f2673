"""Initialize: the right gain for each layer, what is left alone, unit variance, and nothing else is changed."""

import copy
import logging
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_tricks import initialize_


def scale_of(weight: Tensor) -> float:
    """The gain that a he_normal weight was drawn with."""
    return float(weight.detach().std()) * math.sqrt(weight[0].numel())


class Mixed(nn.Module):
    """Layers of 200 before each kind of activation, in `forward` rather than as modules."""

    def __init__(self) -> None:
        super().__init__()
        names = ("relu", "leaky", "tanh", "selu", "gelu", "sigmoid", "plain", "last")
        for name in names:
            setattr(self, name, nn.Linear(200, 200))
        self.norm = nn.BatchNorm1d(200)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.norm(self.relu(x)), 0.2).relu()
        x = F.leaky_relu(self.leaky(x), 0.5)
        x = torch.tanh(self.tanh(x).view(-1, 10, 20)).flatten(1)
        x = F.gelu(self.gelu(F.selu(self.selu(x))))
        return self.last(self.plain(torch.sigmoid(self.sigmoid(x))))


def test_each_layer_gets_the_gain_of_the_activation_that_follows_it() -> None:
    torch.manual_seed(0)
    model = Mixed()
    initialize_(model, batch=torch.randn(8, 200))
    expected = {
        "relu": math.sqrt(2), "leaky": math.sqrt(2 / 1.25), "tanh": 5 / 3, "selu": 0.75, "gelu": 1.534, "sigmoid": 1,
        "plain": 1, "last": 1,
    }  # fmt: skip
    found = {name: scale_of(getattr(model, name).weight) for name in expected}
    assert found == pytest.approx(expected, rel=0.02)
    assert all(float(getattr(model, name).bias.detach().abs().max()) == 0 for name in expected)


@pytest.mark.parametrize(
    ("scheme", "nonlinearity", "gain"),
    [
        ("he_normal", "auto", 2**0.5),
        ("he_normal", "tanh", 5 / 3),
        ("orthogonal", "auto", 1),
        ("lecun_normal", "relu", 1),
    ],
)
def test_without_a_batch_the_gain_is_the_schemes_or_the_given_one(scheme: str, nonlinearity: str, gain: float) -> None:
    torch.manual_seed(0)
    model = nn.Linear(300, 300)
    assert initialize_(model, scheme, nonlinearity=nonlinearity) == ["weight", "bias"]
    assert scale_of(model.weight) == pytest.approx(gain, rel=0.02)


class Residual(nn.Module):
    """Blocks whose branch is added to its input, with a norm before or after it, or without."""

    def __init__(self, blocks: int, norm: str = "") -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(200, 200) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(200, 200) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(200) for _ in range(blocks))
        self.where = norm

    def forward(self, x: Tensor) -> Tensor:
        for first, second, norm in zip(self.first, self.second, self.norms, strict=True):
            branch = second(F.relu(first(norm(x) if self.where == "before" else x)))
            x = x + (norm(branch) if self.where == "after" else F.dropout(branch, 0.1))
        return x


@pytest.mark.parametrize(("norm", "gain"), [("", 0.5), ("before", 0.5), ("after", 1.0)])
def test_the_last_layer_of_each_of_four_residual_branches_is_halved(norm: str, gain: float) -> None:
    torch.manual_seed(0)
    model = Residual(4, norm)
    initialize_(model, batch=torch.randn(4, 200))
    assert [scale_of(layer.weight) for layer in model.first] == pytest.approx([2**0.5] * 4, rel=0.02)
    assert [scale_of(layer.weight) for layer in model.second] == pytest.approx([gain] * 4, rel=0.02)


def test_over_fifty_residual_blocks_the_variance_grows_by_no_more_than_e() -> None:
    torch.manual_seed(0)
    model, x = Residual(50).eval(), torch.randn(32, 200)
    initialize_(model, batch=x)
    with torch.no_grad():
        assert 1.5 < model(x).var() / x.var() < 2 * math.e  # (1 + 1/50)^50 = 2.69, in expectation


def test_tied_weights_are_drawn_once_and_those_of_an_embedding_are_left_alone(caplog: Any) -> None:
    model = nn.Sequential(nn.Embedding(20, 50), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 50), nn.Linear(50, 20))
    model[3].weight, model[4].weight = model[1].weight, model[0].weight
    before = model[0].weight.clone()
    with caplog.at_level(logging.INFO, "lightning_tricks"):
        names = initialize_(model, batch=torch.arange(20))
    assert names == ["1.weight", "1.bias"]
    assert torch.equal(model[0].weight, before)
    assert scale_of(model[1].weight) == pytest.approx(1.0, rel=0.05)  # the smaller of ReLU's gain and none
    assert "4 (tied to an embedding)" in caplog.text
    assert "0 (Embedding)" in caplog.text


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recurrent_weights_are_orthogonal_and_forget_gates_open(kind: Any) -> None:
    torch.manual_seed(0)
    model = kind(40, 32)
    names = initialize_(model, "xavier_uniform")
    assert set(names) == {name for name, _ in model.named_parameters()}
    for name, value in model.named_parameters():
        blocks = value.detach().split(32)
        if name.startswith("weight_hh"):
            assert all(torch.allclose(block @ block.T, torch.eye(32), atol=1e-5) for block in blocks)
        elif name.startswith("weight_ih"):
            assert [float(block.std()) for block in blocks] == pytest.approx(
                [math.sqrt(2 / 72)] * len(blocks), rel=0.05
            )
        else:
            opened = [1.0 if i == 1 and "ih" in name and "LSTM" in kind.__name__ else 0.0 for i in range(len(blocks))]
            assert [float(block.mean()) for block in blocks] == opened


def test_a_deep_bidirectional_projected_lstm_is_initialized_whole() -> None:
    model = nn.LSTM(5, 8, num_layers=2, bidirectional=True, proj_size=3)
    assert len(initialize_(model)) == len(list(model.parameters()))
    assert (model.bias_ih_l1_reverse + model.bias_hh_l1_reverse)[8:16].tolist() == [1] * 8


NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)),
        (256, 20),
    ),
    "deep tanh": (
        lambda: nn.Sequential(*[part for _ in range(20) for part in (nn.Linear(32, 32), nn.Tanh())]),
        (256, 32),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 8, 3),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(200, 4),
        ),
        (64, 3, 16, 16),
    ),
    "batch norm": (
        lambda: nn.Sequential(nn.Conv1d(2, 8, 3, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3)),
        (64, 2, 20),
    ),
    "grouped": (
        lambda: nn.Sequential(nn.Conv2d(8, 16, 3, groups=4), nn.SiLU(), nn.Conv2d(16, 16, 3, groups=16)),
        (32, 8, 9, 9),
    ),
    "transposed": (
        lambda: nn.Sequential(nn.Linear(10, 64), nn.Unflatten(1, (16, 2, 2)), nn.ConvTranspose2d(16, 4, 4, 2)),
        (128, 10),
    ),
    "sigmoid": (
        lambda: nn.Sequential(nn.Linear(30, 30), nn.Sigmoid(), nn.Linear(30, 30), nn.Sigmoid(), nn.Linear(30, 2)),
        (256, 30),
    ),
    "residual": (lambda: Residual(4, "before"), (128, 200)),
    "wide to narrow": (lambda: nn.Sequential(nn.Linear(200, 7), nn.LeakyReLU(0.3), nn.Linear(7, 1)), (256, 200)),
    "3-d": (lambda: nn.Sequential(nn.Conv3d(1, 4, 3), nn.ELU(), nn.Conv3d(4, 4, 2)), (16, 1, 6, 6, 6)),
}


@pytest.mark.parametrize("net", NETS)
def test_lsuv_gives_every_output_unit_variance(net: str) -> None:
    torch.manual_seed(0)
    make, shape = NETS[net]
    model, batch, variances = make().train(), 5 * torch.randn(*shape) + 1, {}
    running = {name: value.clone() for name, value in model.named_buffers()}
    initialize_(model, "lsuv", batch=batch)
    assert all(torch.equal(value, running[name]) for name, value in model.named_buffers())
    layers = {
        name: layer for name, layer in model.named_modules() if hasattr(layer, "weight") and layer.weight.dim() > 1
    }
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, __, out, name=name: variances.__setitem__(name, float(out.var())))
    model(batch)
    assert len(variances) == len(layers) > 1
    assert variances == pytest.approx(dict.fromkeys(layers, 1.0), rel=0.05)


def test_the_batch_the_generators_and_the_rest_of_the_model_stay_as_they_were() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
    batch, buffers = torch.randn(6, 4), copy.deepcopy(dict(model.named_buffers()))
    kept, state = batch.clone(), torch.get_rng_state()
    for scheme in ("he_normal", "lsuv"):
        initialize_(model, scheme, batch=batch)
    assert torch.equal(batch, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer._forward_hooks for layer in model)
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


def test_the_draws_follow_from_the_seed_or_from_the_model() -> None:
    def drawn(build_seed: int, **arguments: Any) -> Tensor:
        torch.manual_seed(build_seed)
        model = nn.Linear(5, 5)
        initialize_(model, **arguments)
        return model.weight.detach()

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    assert torch.equal(drawn(0, seed=7), drawn(1, seed=7))
    torch.manual_seed(0)
    twins = [nn.Linear(5, 5) for _ in range(2)]  # of one seed, one after the other
    for twin in twins:
        initialize_(twin)
    assert not torch.equal(twins[0].weight, twins[1].weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "he"}, "`scheme`"),
        ({"nonlinearity": "rilu"}, "`nonlinearity` must be an activation"),
        ({"scheme": "lsuv"}, "give a `batch`"),
        ({"include": ["head.*"]}, "`include`: 'head.*' matches no parameter"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_bad_arguments_are_refused_before_anything_changes(arguments: dict[str, Any], message: str) -> None:
    model = nn.Linear(3, 3)
    before = model.weight.clone()
    with pytest.raises(ValueError, match=message):
        initialize_(model, **arguments)
    assert torch.equal(model.weight, before)


def test_patterns_choose_and_lazy_parametrized_and_frozen_layers_are_named(caplog: Any) -> None:
    model = nn.ModuleDict(
        {
            "a": nn.Linear(4, 4),
            "b": nn.Linear(4, 4),
            "lazy": nn.LazyLinear(3),
            "weighted": nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            "frozen": nn.Linear(4, 4).requires_grad_(False),
        }
    )
    with caplog.at_level(logging.INFO, "lightning_tricks"):
        assert initialize_(model, exclude=["b.*"]) == ["a.weight", "a.bias"]
    for said in (
        "he_normal in a;",
        "b (excluded by the patterns)",
        "lazy (not built before the first batch)",
        "weighted (computed from other parameters)",
        "frozen (frozen)",
    ):
        assert said in caplog.text
