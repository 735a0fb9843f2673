"""Patients of the rules on what stands around a batch norm."""

import torch
from patient import Step, classes, healthy, sick
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def normed(bias: bool = False) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8, bias=bias), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@sick("PLC010", "Linear has a bias", "BatchNorm1d 1", severity="info")
def bias_for_nothing() -> dict:
    return {"model": normed(bias=True), "batch": torch.randn(16, 8)}


@healthy("PLC010")
def no_bias() -> dict:
    return {"model": normed(), "batch": torch.randn(16, 8)}


@sick("PLC011", "BatchNorm1d over 4 values", "8", severity="warning")
def four_samples() -> dict:
    return {"model": normed(), "batch": torch.randn(4, 8)}


@sick("PLC011", "over 1 values", severity="error")
def one_value_that_pytorch_refuses() -> dict:
    return {"model": normed(), "batch": torch.randn(1, 8)}


@healthy("PLC011")
def four_samples_of_many_values() -> dict:
    return {"model": nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), "batch": torch.randn(4, 1, 5, 5)}


@healthy("PLC011")
def a_small_batch_from_a_loader_of_larger_ones() -> dict:
    x, y = classes(32)
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    return {"model": Step(normed()), "batch": (x[:4], y[:4]), "train_dataloaders": loader}


@sick("PLC012", "BatchNorm1d", "`cross_entropy`", severity="warning")
def norm_last() -> dict:
    return {"model": Step(nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3))), "batch": classes()}


@healthy("PLC012")
def norm_inside() -> dict:
    return {"model": Step(normed()), "batch": classes()}
