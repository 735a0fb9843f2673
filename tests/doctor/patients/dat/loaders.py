"""Patients of the rules on loaders."""

from typing import Any

import torch
from doctor_inputs import lit, net, on_loader, rows
from patient import healthy, sick
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)


class TimeSeries(TensorDataset):
    """Windows over a series, told by its name."""


def sorted_rows() -> TensorDataset:
    x, y = rows().tensors
    return TensorDataset(x, y.sort().values)


def windows() -> TensorDataset:
    return TensorDataset(torch.randn(80).unfold(0, 16, 1), torch.arange(65) % 3)


def with_batchnorm() -> nn.Module:
    return lit(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))


@sick("DAT002", "SequentialSampler gives the same order", severity="warning")
def always_the_same_order() -> dict:
    return on_loader(shuffle=False)


@sick("DAT002", "the 3 classes are in sorted order", severity="error")
def class_after_class() -> dict:
    return on_loader(sorted_rows(), shuffle=False)


@sick("DAT002", "SequentialSampler gives the same order", severity="warning")
def given_batches_in_the_same_order() -> dict:
    batches = BatchSampler(SequentialSampler(rows()), 16, drop_last=False)
    return {"model": lit(net()), "train_dataloaders": DataLoader(rows(), batch_sampler=batches)}


@healthy("DAT002")
def given_batches_in_random_order() -> dict:
    batches = BatchSampler(RandomSampler(rows()), 16, drop_last=False)
    return {"model": lit(net()), "train_dataloaders": DataLoader(rows(), batch_sampler=batches)}


@healthy("DAT002")
def shuffled() -> dict:
    return on_loader()


@healthy("DAT002")
def one_batch_an_epoch() -> dict:
    return on_loader(size=64, shuffle=False)


@healthy("DAT002")
def time_series_by_name() -> dict:
    return on_loader(TimeSeries(*rows().tensors), shuffle=False)


@healthy("DAT002")
def time_series_by_its_rows() -> dict:
    return on_loader(windows(), shuffle=False, model=lit(net(inputs=16)))


class Sets(Dataset):
    """Rows that hold 50 samples each."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        return torch.randn(50, 4, generator=torch.Generator().manual_seed(index)), torch.arange(50) % 3


def each_of_a_set(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())


@healthy("DAT003")
def one_set_of_many_samples() -> dict:
    return {"model": lit(net(), each_of_a_set), "train_dataloaders": DataLoader(Sets(), 1, shuffle=True)}


@sick("DAT003", "effective batch 1", severity="warning")
def one_row() -> dict:
    return on_loader(size=1)


@sick("DAT003", "effective batch 8192", "above 6000", severity="warning")
def thousands_of_rows() -> dict:
    return on_loader(size=8192)


@sick("DAT003", severity="info")
def more_than_a_thousand() -> dict:
    return on_loader(size=2048)


@healthy("DAT003")
def customary_batch() -> dict:
    return on_loader(size=32)


@sick("DAT004", "batch size 24", severity="info")
def no_power_of_two() -> dict:
    return on_loader(size=24)


@healthy("DAT004")
def power_of_two() -> dict:
    return on_loader(size=32)


@sick("DAT010", "65 rows in batches of 16 leave a last batch of one row for BatchNorm1d")
def one_row_left() -> dict:
    return on_loader(rows(65), model=with_batchnorm())


@healthy("DAT010")
def last_batch_dropped() -> dict:
    return on_loader(rows(65), model=with_batchnorm(), drop_last=True)


@healthy("DAT010")
def no_batch_norm() -> dict:
    return on_loader(rows(65))


@sick("DAT020", "has 3 weights for 64 rows: only the first 3 rows are drawn", severity="error")
def a_weight_for_each_class() -> dict:
    return on_loader(sampler=WeightedRandomSampler([0.2, 0.3, 0.5], 64))


@healthy("DAT020")
def a_weight_for_each_row() -> dict:
    return on_loader(sampler=WeightedRandomSampler([1.0] * 64, 64))
