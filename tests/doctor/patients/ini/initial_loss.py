"""Patients of the rule on the first loss."""

import torch
from doctor_inputs import batch, lit, net
from patient import healthy, sick
from torch import Tensor
from torch.nn import functional as F


def with_output(scale: float) -> torch.nn.Sequential:
    model = net()
    with torch.no_grad():
        model[2].weight.mul_(scale)
    return model


def binary(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], (y > 0).float())


@sick("INI005", "cross_entropy starts at", "a uniform guess has 1.1")
def sure_and_wrong() -> dict:
    return {"model": lit(with_output(50.0)), "batch": batch()}


@sick("INI005", "binary_cross_entropy_with_logits", "0.693")
def sure_of_one_of_two() -> dict:
    return {"model": lit(with_output(50.0), binary), "batch": batch()}


@healthy("INI005")
def guesses() -> dict:
    return {"model": lit(net()), "batch": batch()}


@healthy("INI005")
def guesses_one_of_two() -> dict:
    return {"model": lit(net(), binary), "batch": batch()}
