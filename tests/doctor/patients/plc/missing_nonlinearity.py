"""Patients of the rule on linear layers with nothing between them."""

from collections.abc import Callable

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


def mixing(between: Callable[[torch.Tensor], torch.Tensor], inner: int = 8) -> dict:
    """Two layers with an operation on `(16, 4, 8)` between them."""
    model = Calling(lambda net, x: net.b(between(net.a(x))), a=nn.Linear(8, 8), b=nn.Linear(inner, 8))
    return {"model": model, "batch": torch.randn(16, 4, 8)}


@sick("PLC013", "Linear a feeds Linear b", severity="warning")
def another_order_of_samples_and_steps() -> dict:
    return mixing(lambda x: x.transpose(0, 1))


@sick("PLC013", "Linear a feeds Linear b", severity="warning")
def steps_that_become_rows() -> dict:
    return mixing(lambda x: x.reshape(-1, 8))


@healthy("PLC013")
def layers_over_steps_and_features() -> dict:
    return mixing(lambda x: x.transpose(1, 2), inner=4)


@healthy("PLC013")
def layers_over_channels_and_heads() -> dict:
    return mixing(lambda x: x.permute(0, 2, 1), inner=4)


@healthy("PLC013")
def layers_over_a_step_and_over_all_of_them() -> dict:
    return mixing(lambda x: x.flatten(1), inner=32)


@sick("PLC013", severity="info")
def gated_linear_unit() -> dict:
    model = Calling(lambda net, x: nn.functional.glu(net.b(net.a(x))), a=nn.Linear(8, 8), b=nn.Linear(8, 16))
    return {"model": model, "batch": torch.randn(16, 8)}


@sick("PLC013", severity="info")
def gate_by_a_sigmoid() -> dict:
    model = Calling(lambda net, x: net.b(net.a(x)).sigmoid() * x, a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    return {"model": model, "batch": torch.randn(16, 8)}


@sick("PLC013", severity="info")
def end_of_an_encoder_and_start_of_a_decoder() -> dict:
    ends = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16))
    starts = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    model = Calling(lambda net, x: net.decoder(net.encoder(x)), encoder=ends, decoder=starts)
    return {"model": model, "batch": torch.randn(16, 8)}


@sick("PLC013", "8 → 6 → 3", severity="info")
def positions_averaged_between() -> dict:
    model = Calling(lambda net, x: net.b(net.a(x).mean(1)), a=nn.Linear(8, 6), b=nn.Linear(6, 3))
    return {"model": model, "batch": torch.randn(4, 5, 8)}
