"""Samples are counted by what the loss compares, and rows that may be split inside are not called leaks."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from doctor_inputs import lit, loader, net, rows
from patient import Step
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lightning_tricks.doctor.facts.samples import loss_rows, samples_per_row, what_uses_parts_of_rows
from lightning_tricks.doctor.judging.diagnose import diagnose
from lightning_tricks.doctor.tracing.examine import examine


class Using(Step):
    """A linear layer, and a step that uses its batch in its own way."""

    def __init__(self, use: Any, inputs: int = 4, outputs: int = 3) -> None:
        super().__init__(nn.Linear(inputs, outputs))
        self.use = use

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.use(self.net, batch)


X, Y = torch.randn(6, 4), torch.arange(6) % 3


@pytest.mark.parametrize(
    ("use", "count"),
    [
        (lambda net, batch: F.cross_entropy(net(batch[0]), batch[1]), 6),
        (lambda net, batch: F.cross_entropy(net(batch[0])[:2], batch[1][:2]), 2),
        (lambda net, batch: F.mse_loss(net(batch[0]), torch.zeros(6, 3)), 6),
        (lambda net, batch: (net(batch[0]) - 1).abs().mean(), 6),
        (lambda net, batch: F.cross_entropy(net(batch[0]).T[None], batch[1][None]), 6),
    ],
    ids=["classes", "some of them", "numbers", "by hand", "of one map"],
)
def test_a_loss_compares_so_many_samples(use: Any, count: int) -> None:
    assert loss_rows(examine(Using(use), (X, Y))) == count


def test_a_row_holds_as_many_samples_as_the_loss_compares_of_it() -> None:
    sets = TensorDataset(torch.randn(8, 50, 4), torch.arange(400).view(8, 50) % 3)
    model = Using(lambda net, batch: F.cross_entropy(net(batch[0]).flatten(0, 1), batch[1].flatten()))
    assert samples_per_row(examine(model, train_dataloaders=DataLoader(sets, 2))) == 50


@pytest.mark.parametrize(
    ("use", "part"),
    [
        (lambda net, x: net(x[:, :4]).mean() + x[:, 4:6].mean(), "the batch"),
        (lambda net, x: net(x.narrow(1, 0, 4)).mean(), "the batch"),
        (lambda net, x: net(x[:, :4]).mean() + x[:, 4:].mean(), ""),
        (lambda net, x: net(x[:, :4]).mean() + x.mean(), ""),
        (lambda net, x: net(x.view(6, 2, 4)[:, 0]).mean(), "the batch"),
        (lambda net, x: net(x.chunk(2, 1)[0]).mean(), ""),
    ],
    ids=["slices", "narrow", "all of it", "whole", "after a view", "chunks"],
)
def test_a_step_that_uses_a_part_of_each_row_is_known(use: Any, part: str) -> None:
    assert what_uses_parts_of_rows(examine(Using(use), torch.randn(6, 8))) == part


class Graph(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        nodes = torch.arange(60)
        return {"x": torch.randn(60, 4), "y": nodes % 3, "train_mask": nodes < 40, "test_mask": nodes >= 40}


@pytest.mark.parametrize("how", ["picked", "weighted"])
def test_rows_that_masks_split_are_not_compared(how: str) -> None:
    def use(net: Any, batch: Any) -> torch.Tensor:
        logits, y, mask = net(batch["x"])[0], batch["y"][0], batch["train_mask"][0]
        if how == "picked":
            return F.cross_entropy(logits[mask], y[mask])
        return (F.cross_entropy(logits, y, reduction="none") * mask).sum() / mask.sum()

    graph = Graph()
    report = diagnose(Using(use), train_dataloaders=DataLoader(graph), val_dataloaders=DataLoader(graph))
    assert report.ok, str(report)
    assert any("DAT005" in note and "rows may be split internally" in note for note in report.notes)


class Own(DataLoader):
    """Yields what it likes, whatever its attributes."""

    def __iter__(self) -> Iterator[Any]:
        return iter([rows()[:]] * 4)


class Plain:
    """Yields batches, and calls its size that of a batch."""

    batch_size, drop_last, dataset = 1, False, rows()

    def __iter__(self) -> Iterator[Any]:
        return iter([rows()[:]] * 4)


class Batches:
    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[list[int]]:
        return iter(torch.randperm(64).view(4, 16).tolist())


@pytest.mark.parametrize(
    ("train", "codes"),
    [
        (Own(rows(), 1), ["DAT002", "DAT010"]),
        (DataLoader(rows(), batch_sampler=Batches()), ["DAT002"]),
        (Plain(), ["DAT002", "DAT010"]),
    ],
    ids=["own iterator", "own batch sampler", "no loader of torch's"],
)
def test_what_a_loader_s_attributes_do_not_tell_is_not_checked(train: Any, codes: list[str]) -> None:
    model = lit(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)))
    report = diagnose(model, train_dataloaders=train, ignore=["PLC006"])
    assert report.ok, str(report)
    for code in codes:
        assert any(code in note for note in report.notes), f"{code}: {report.notes}"


def test_a_batch_of_another_size_than_the_loader_s_is_believed() -> None:
    def crops(items: Any) -> Any:
        return torch.cat([x.expand(6, -1) for x, _ in items]), torch.cat([y.expand(6) for _, y in items])

    train = DataLoader(rows(), 1, shuffle=True, collate_fn=crops)
    evidence = examine(lit(net()), train_dataloaders=train)
    assert evidence.train_loader is not None
    assert evidence.train_loader.batch_size is None
    assert not diagnose(lit(net()), train_dataloaders=train, select=["DAT003"]).findings
    evidence = examine(lit(net()), rows()[:5], train_dataloaders=loader())
    assert evidence.train_loader is not None
    assert evidence.train_loader.batch_size == 16  # this batch is not the loader's
