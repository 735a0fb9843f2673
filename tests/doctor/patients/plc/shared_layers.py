"""Patients of the rule on one layer at several places."""

import torch
from patient import Calling, healthy, sick
from torch import nn


def block() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU())


def on_rows(model: nn.Module) -> dict:
    return {"model": model, "batch": torch.randn(4, 8)}


@sick("PLC019", "places 1 to 4 hold the same Sequential 4 times: 72 parameters instead of 288", severity="warning")
def a_list_that_is_multiplied() -> dict:
    return {"model": nn.Sequential(nn.Flatten(), *[block()] * 4)}


@sick("PLC019", "the same Linear 2 times", severity="warning")
def a_layer_between_activations() -> dict:
    layer, relu = nn.Linear(8, 8), nn.ReLU()
    return on_rows(nn.Sequential(layer, relu, layer, relu))


def over(layers: list[nn.Module]) -> Calling:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for layer in net.layers:
            x = x + layer(x)
        return x

    return Calling(forward, layers=nn.ModuleList(layers))


@sick("PLC019", "the same Sequential 3 times", severity="info")
def a_module_list_that_is_multiplied() -> dict:
    return on_rows(over([block()] * 3))


@healthy("PLC019")
def one_activation_between_layers() -> dict:
    relu = nn.ReLU()
    return on_rows(nn.Sequential(nn.Linear(8, 8), relu, nn.Linear(8, 8), relu))


@healthy("PLC019")
def a_layer_for_each_place() -> dict:
    return on_rows(over([block() for _ in range(3)]))


@healthy("PLC019")
def a_layer_that_forward_repeats() -> dict:
    return on_rows(Calling(lambda net, x: net.layer(net.layer(x)), layer=block()))


@healthy("PLC019")
def heads_with_shared_weights() -> dict:
    head = nn.Linear(8, 2)
    net = Calling(
        lambda net, x: [head(x * scale) for scale, head in enumerate(net.heads)], heads=nn.ModuleList([head] * 3)
    )
    return on_rows(net)


@healthy("PLC019")
def a_frozen_layer_twice() -> dict:
    layer = nn.Linear(8, 8).requires_grad_(False)
    return on_rows(nn.Sequential(layer, nn.Linear(8, 8), layer))
