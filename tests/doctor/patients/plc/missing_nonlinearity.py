"""Patients of the rule on linear layers with nothing between them."""

import torch
from patient import Calling, healthy, sick
from torch import nn


def chain(*layers: nn.Module) -> dict:
    return {"model": nn.Sequential(*layers), "batch": torch.randn(16, 8)}


@sick("PLC013", "Linear 0 feeds Linear 3", "8 → 6 → 3", severity="warning")
def only_dropout_between() -> dict:
    return chain(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 3))


@healthy("PLC013")
def activation_between() -> dict:
    return chain(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


@healthy("PLC013")
def factorization() -> dict:
    return chain(nn.Linear(8, 2), nn.Linear(2, 6))


@healthy("PLC013")
def result_is_used_twice() -> dict:
    model = Calling(lambda net, x: net.b(net.a(x)) + net.a(x), a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    model.function = lambda net, x: (lambda h: net.b(h) + h)(net.a(x))
    return {"model": model, "batch": torch.randn(4, 8)}


@healthy("PLC013")
def attention() -> dict:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return {"model": layer, "batch": torch.randn(4, 3, 8)}
