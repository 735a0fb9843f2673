"""Patients of the rule on parameters and buffers that are not finite."""

import torch
from patient import healthy, sick
from torch import nn


def with_buffer(value: float) -> dict:
    net = nn.Sequential(nn.Linear(4, 4))
    net.register_buffer("mask", torch.full((4, 4), value))
    return {"model": net}


@sick("NUM003", "1 of 16 values", severity="error")
def a_weight_of_nan() -> dict:
    net = nn.Sequential(nn.Linear(4, 4))
    with torch.no_grad():
        net[0].weight[0, 0] = float("nan")
    return {"model": net}


@sick("NUM003", "4 infinite values")
def a_variance_that_has_overflowed() -> dict:
    norm = nn.BatchNorm1d(4)
    norm.running_var.fill_(float("inf"))
    return {"model": norm}


@sick("NUM003", "buffer contains")
def a_buffer_of_nan() -> dict:
    return with_buffer(float("nan"))


@healthy("NUM003")
def a_causal_mask() -> dict:
    net = nn.Sequential(nn.Linear(4, 4))
    net.register_buffer("mask", torch.zeros(4, 4).masked_fill(torch.ones(4, 4).triu(1).bool(), float("-inf")))
    return {"model": net}


@healthy("NUM003")
def finite_parameters() -> dict:
    return {"model": nn.Linear(4, 4)}


@healthy("NUM003")
def a_lazy_layer() -> dict:
    return {"model": nn.LazyLinear(4)}
