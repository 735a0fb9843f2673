"""Loaded weights: trained ones are found whatever their size, new ones are not, however they were drawn."""

from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build
from torch import nn

from lightning_tricks import initialize_
from lightning_tricks.engine.initialization.choose_layers import DRAWN
from lightning_tricks.engine.initialization.loaded_weights import find_loaded


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    return {path: layer for path, layer in model.named_modules() if isinstance(layer, DRAWN)}


def perceptron(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


NEW = {
    "small": lambda: perceptron(8),
    "wide": lambda: perceptron(64),
    "convolutions": lambda: nn.Sequential(nn.Conv2d(1, 32, 3, bias=False), nn.BatchNorm2d(32), nn.Conv2d(32, 32, 3)),
    "recurrent": lambda: nn.Sequential(nn.LSTM(6, 10), nn.GRU(10, 24)),
}
DRAWS = {
    "default": lambda value: None,
    "kaiming": lambda value: nn.init.kaiming_normal_(value),
    "normal": lambda value: nn.init.normal_(value, std=0.5),
    "orthogonal": lambda value: nn.init.orthogonal_(value, 2.0),
}


@pytest.mark.parametrize("net", NEW)
@pytest.mark.parametrize("draw", DRAWS)
def test_new_weights_are_not_taken_for_loaded_ones(net: str, draw: str) -> None:
    torch.manual_seed(0)
    model = NEW[net]()
    for name, value in model.named_parameters():
        if draw != "default" and value.dim() > 1:
            DRAWS[draw](value)
        elif draw != "default" and "bias" in name:
            nn.init.zeros_(value)
    assert find_loaded(model, layers_of(model)) == {}


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("DebertaV2", "T5")])
def test_new_architectures_of_transformers_are_not_taken_for_loaded_ones(name: str) -> None:
    torch.manual_seed(0)
    model = build(name)
    assert find_loaded(model, layers_of(model)) == {}


def train(model: nn.Module, steps: int = 300) -> nn.Module:
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    y = (x[:, :1] * 2).sin() + x[:, 1:2]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("width", [8, 32])
@pytest.mark.parametrize("how", ["here", "loaded"])
def test_trained_weights_are_kept_unless_they_are_to_be_overwritten(width: int, how: str) -> None:
    torch.manual_seed(0)
    model: Any = train(perceptron(width))
    if how == "loaded":
        trained, model = model, perceptron(width)
        model.load_state_dict(trained.state_dict())
    before = {name: value.clone() for name, value in model.named_parameters()}
    assert initialize_(model) == []
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert len(initialize_(model, overwrite_pretrained=True)) == 6
    assert not torch.equal(model[0].weight, before["0.weight"])


def test_a_new_head_on_a_loaded_backbone_is_initialized_alone() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"backbone": train(perceptron(32)), "head": nn.Linear(1, 4)})
    assert initialize_(model) == ["head.weight", "head.bias"]
