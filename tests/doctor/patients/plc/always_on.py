"""Patients of the rule on dropout that acts in eval mode."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, classes, healthy, sick
from torch import nn


def calling(function: Any) -> dict:
    return {"model": Calling(function, fc=nn.Linear(8, 3)), "batch": classes()[0]}


@sick("PLC009", "`dropout` (p = 0.5)", severity="error")
def functional_dropout_without_training() -> dict:
    return calling(lambda net, x: net.fc(F.dropout(x, 0.5)))


@sick("PLC009", "`dropout` (p = 0.5)", severity="warning")
def dropout_that_is_meant_to_stay_active() -> dict:
    return calling(lambda net, x: net.fc(F.dropout(x, 0.5, training=True)))


@sick("PLC009", "a mask is drawn", severity="info")
def hand_made_mask() -> dict:
    return calling(lambda net, x: net.fc(x * torch.bernoulli(torch.full_like(x, 0.5))))


@sick("PLC009", severity="info")
def model_that_samples() -> dict:
    return calling(lambda net, x: net.fc(F.dropout(x, 0.5)) + torch.randn(3))


@healthy("PLC009")
def dropout_that_asks() -> dict:
    return calling(lambda net, x: net.fc(F.dropout(x, 0.5, net.training)))
