"""Patients of the rules on the two sides of a loss."""

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes, healthy, numbers, sick
from torch import nn


@sick("LOS018", "`triplet_margin_loss` compares its anchor with the same tensor as its positive", severity="error")
def triplets_of_one_tensor() -> dict:
    return {"model": Step(nn.Linear(8, 4), lambda z, y: F.triplet_margin_loss(z, z, z.flip(0))), "batch": classes()}


@sick("LOS018", "`mse_loss` compares its input with the same tensor as its target")
def a_reconstruction_of_itself() -> dict:
    return {"model": Step(nn.Linear(8, 8), lambda out, y: F.mse_loss(out, out.detach())), "batch": numbers()}


@healthy("LOS018")
def a_tensor_and_its_reverse() -> dict:
    return {"model": Step(nn.Linear(8, 8), lambda out, y: F.mse_loss(out, out.flip(0))), "batch": numbers()}


@healthy("LOS018")
def neighbors_in_time() -> dict:
    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(out[:, 1:], out[:, :-1]) + F.mse_loss(out[:, :1], y)

    return {"model": Step(nn.Linear(8, 8), loss), "batch": numbers()}


def tagger(function: object, length: int = 6) -> dict:
    """A class of six at each position."""
    x = torch.randn(8, length, 5)
    net = Calling(function, head=nn.Linear(5, 6), conv=nn.Conv1d(5, 6, 1))
    return {"model": Step(net), "batch": (x, torch.arange(8 * length).view(8, length) % 6)}


@sick("LOS020", "logits of shape [8, 6, 6] whose classes are in the last dimension", severity="error")
def classes_last() -> dict:
    return tagger(lambda net, x: net.head(x))


@healthy("LOS020")
def classes_moved_to_dimension_one() -> dict:
    return tagger(lambda net, x: net.head(x).transpose(1, 2))


@healthy("LOS020")
def channels_of_a_convolution() -> dict:
    return tagger(lambda net, x: net.conv(x.transpose(1, 2)))
