"""Patients of the rule on reshapes in place of a transpose."""

import torch
from patient import Calling, Step, healthy, sick
from torch import Tensor, nn
from torch.nn import functional as F


def series(forward: object) -> dict:
    """Eight channels over ten steps, `(N, 8, 10)`."""
    net = Calling(forward, rnn=nn.GRU(8, 4, batch_first=True), head=nn.Linear(4, 2))
    return {"model": Step(net), "batch": (torch.randn(16, 8, 10), torch.arange(16) % 2)}


def read(net: nn.Module, x: Tensor) -> Tensor:
    return net.head(net.rnn(x)[0][:, -1])


def maps(loss: object) -> dict:
    """Maps of three classes, `(N, 3, 6, 8)`."""
    y = (torch.arange(4 * 48) % 3).view(4, 6, 8)
    return {"model": Step(nn.Conv2d(2, 3, 3, padding=1), loss), "batch": (torch.randn(4, 2, 6, 8), y)}


@sick("PLC018", "`view` turns an input of shape [16, 8, 10] into [16, 10, 8]", severity="error")
def series_viewed_with_swapped_dimensions() -> dict:
    return series(lambda net, x: read(net, x.view(len(x), 10, 8)))


@sick("PLC018", "turns maps of shape [4, 3, 6, 8] into [192, 3] before `cross_entropy`")
def class_maps_viewed_as_rows() -> dict:
    return maps(lambda logits, y: F.cross_entropy(logits.view(-1, 3), y.view(-1)))


@healthy("PLC018")
def series_that_are_transposed() -> dict:
    return series(lambda net, x: read(net, x.transpose(1, 2)))


@healthy("PLC018")
def series_with_a_dimension_of_one_more() -> dict:
    return series(lambda net, x: read(net, x.transpose(1, 2).reshape(len(x), 1, 10, 8).reshape(len(x), 10, 8)))


@healthy("PLC018")
def class_maps_permuted_before_they_are_flattened() -> dict:
    return maps(lambda logits, y: F.cross_entropy(logits.permute(0, 2, 3, 1).reshape(-1, 3), y.view(-1)))


@healthy("PLC018")
def class_maps_as_they_are() -> dict:
    return maps(F.cross_entropy)


@healthy("PLC018")
def one_position_flattened_to_classes() -> dict:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    return {"model": Step(net), "batch": (torch.randn(8, 2, 6, 8), torch.arange(8) % 3)}
