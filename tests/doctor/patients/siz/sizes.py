"""Patients of the rules on sizes."""

from typing import Any

import torch
from doctor_inputs import lit, loader, net, rows
from patient import healthy, sick
from torch import nn
from torch.utils.data import TensorDataset


def mlp(hidden: int, count: int = 64, tuning: Any = None) -> dict:
    model = lit(net(hidden=hidden)) if tuning is None else lit(net(hidden=hidden), tuning=tuning)
    return {"model": model, "train_dataloaders": loader(rows(count))}


def convolution(kernel: Any, **settings: Any) -> dict:
    return {"model": nn.Sequential(nn.Conv2d(3, 8, kernel, **settings))}


@sick("SIZ001", "5000 units", severity="info")
def a_width_of_thousands_for_four_inputs() -> dict:
    return mlp(5000)


@sick("SIZ001", "1 units")
def one_unit_for_many_rows() -> dict:
    return {"model": lit(net(inputs=40, hidden=1, outputs=30)), "train_dataloaders": loader(rows(5000, 40, 30))}


@healthy("SIZ001")
def a_width_between_inputs_and_outputs() -> dict:
    return mlp(8)


@healthy("SIZ001")
def a_width_of_a_hundred() -> dict:
    return mlp(100)


@healthy("SIZ001")
def a_convolutional_network() -> dict:
    model = nn.Sequential(nn.Conv2d(3, 4000, 3), nn.Flatten(), nn.Linear(4000, 2))
    data = TensorDataset(torch.rand(32, 3, 3, 3), torch.arange(32) % 2)
    return {"model": lit(model), "train_dataloaders": loader(data)}


@sick("SIZ002", "64 rows", severity="info")
def thousands_of_parameters_for_sixty_rows() -> dict:
    return mlp(1000)


@sick("SIZ002", "parameters for 32 rows")
def a_net_for_thirty_rows() -> dict:
    return mlp(200, count=32)


@healthy("SIZ002")
def few_parameters() -> dict:
    return mlp(8, count=200)


@healthy("SIZ002")
def many_parameters_with_weight_decay() -> dict:
    return mlp(1000, tuning=lambda params: torch.optim.AdamW(params, 1e-3))


@healthy("SIZ002")
def many_parameters_with_dropout() -> dict:
    model = nn.Sequential(nn.Linear(4, 1000), nn.Dropout(0.5), nn.Linear(1000, 3))
    return {"model": lit(model), "train_dataloaders": loader(rows(64))}


@sick("SIZ003", "a kernel size of 4 x 4", severity="info")
def an_even_kernel() -> dict:
    return convolution(4)


@sick("SIZ003", "a kernel size of 2 x 3")
def an_even_side() -> dict:
    return convolution((2, 3))


@healthy("SIZ003")
def a_kernel_of_three() -> dict:
    return convolution(3)


@healthy("SIZ003")
def patches() -> dict:
    return convolution(4, stride=4)


@healthy("SIZ003")
def a_kernel_in_one_direction() -> dict:
    return convolution((1, 7))
