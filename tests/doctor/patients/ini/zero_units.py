"""Patients of the rule on single units that start at zero."""

import torch
from patient import healthy, sick
from torch import nn


def with_zeros(layer: nn.Module, rows: int) -> dict:
    with torch.no_grad():
        layer.weight[:rows] = 0
    return {"model": nn.Sequential(layer)}


@sick("INI006", "1 of 8 units", severity="info")
def a_filter_of_zeros() -> dict:
    return with_zeros(nn.Conv2d(3, 8, 3), 1)


@sick("INI006", "3 of 8 units")
def units_of_zeros() -> dict:
    return with_zeros(nn.Linear(4, 8), 3)


@healthy("INI006")
def a_drawn_layer() -> dict:
    return with_zeros(nn.Linear(4, 8), 0)


@healthy("INI006")
def a_layer_of_zeros() -> dict:
    return with_zeros(nn.Linear(4, 8), 8)


@healthy("INI006")
def an_embedding_with_padding() -> dict:
    return {"model": nn.Sequential(nn.Embedding(4, 8, padding_idx=0))}
