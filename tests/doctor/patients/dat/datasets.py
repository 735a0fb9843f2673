"""Patients of the rules on the data sets' rows."""

from typing import Any

import torch
from doctor_inputs import lit, loader, net, rows
from patient import Step, healthy, sick
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset, TensorDataset, WeightedRandomSampler


class Dicts(Dataset):
    """Rows as dicts, read one by one."""

    def __init__(self, count: int, start: int = 0) -> None:
        self.x, self.y = (tensor[start : start + count] for tensor in rows(2 * count).tensors)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"features": self.x[index].numpy(), "name": f"row {self.x[index, 0]}", "label": int(self.y[index])}


def split(train: Any, val: Any) -> dict:
    return {"model": lit(net()), "train_dataloaders": loader(train), "val_dataloaders": loader(val, shuffle=False)}


def with_classes(*counts: int) -> TensorDataset:
    labels = torch.cat([torch.full((count,), i) for i, count in enumerate(counts)])
    return TensorDataset(torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(0)), labels)


def trained_on(dataset: TensorDataset, loss: Any = F.cross_entropy, **arguments: Any) -> dict:
    return {"model": lit(net(outputs=2), loss), "train_dataloaders": loader(dataset, **arguments)}


@sick("DAT005", "100% of the validation rows", "16 found", severity="error")
def copied_rows() -> dict:
    x, y = rows().tensors
    return split(TensorDataset(x, y), TensorDataset(x[:16].clone(), y[:16]))


@sick("DAT005", "100%", "by their indices")
def the_same_data_set() -> dict:
    dataset = rows()
    return split(dataset, dataset)


@sick("DAT005", "33%", "by their indices")
def subsets_that_overlap() -> dict:
    dataset = Dicts(64)
    return split(Subset(dataset, range(50)), Subset(dataset, range(43, 64)))


@sick("DAT005", "50%")
def rows_as_dicts_half_of_them_copied() -> dict:
    return split(Dicts(32), Dicts(32, start=16))


class NextWord(Step):
    """Each row without its end, and without its start: all of it."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        (words,) = batch
        return F.cross_entropy(self.net(words[:, :-1]).flatten(0, 1), words[:, 1:].flatten())


@sick("DAT005", "100%", "by their indices")
def sentences_that_are_used_whole() -> dict:
    sentences = TensorDataset(torch.randint(20, (64, 9), generator=torch.Generator().manual_seed(0)))
    return split(sentences, sentences) | {"model": NextWord(nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20)))}


@healthy("DAT005")
def parts_of_one_data_set() -> dict:
    dataset = rows()
    return split(Subset(dataset, range(48)), Subset(dataset, range(48, 64)))


@healthy("DAT005")
def coarse_rows_that_coincide_by_chance() -> dict:
    x, y = rows(200, columns=2).tensors
    x = x.round().repeat(1, 2)
    return split(TensorDataset(x[:160], y[:160]), TensorDataset(x[160:], y[160:]))


def ratings(count: int) -> TensorDataset:
    """Random ratings of random pairs of 30 users and 20 items."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.stack([torch.randint(size, (count,), generator=generator) for size in (30, 20)], 1)
    return TensorDataset(pairs.float().repeat(1, 2), torch.randint(3, (count,), generator=generator))


@healthy("DAT005")
def pairs_that_coincide_with_other_targets() -> dict:
    x, y = ratings(320).tensors
    return split(TensorDataset(x[:240], y[:240]), TensorDataset(x[240:], y[240:]))


@healthy("DAT005")
def pairs_of_which_some_rows_are_read() -> dict:
    x, y = ratings(6000).tensors
    x[:, 0] += torch.arange(6000) % 40 * 30
    return split(TensorDataset(x[:5000], y[:5000]), TensorDataset(x[5000:], y[5000:]))


@sick("DAT005", "of the validation rows")
def pairs_that_were_copied() -> dict:
    x, y = ratings(320).tensors
    x[:, 0] += torch.arange(320) % 40 * 30
    return split(TensorDataset(x[:240], y[:240]), TensorDataset(x[200:280], y[200:280]))


@healthy("DAT005")
def blank_rows_in_both() -> dict:
    x, y = rows().tensors
    x[::2] = 0.0
    return split(TensorDataset(x[:32], y[:32]), TensorDataset(x[32:], y[32:]))


@sick("DAT008", "class 0 has 580 of 600 rows, class 1 20")
def a_rare_class() -> dict:
    return trained_on(with_classes(580, 20))


@healthy("DAT008")
def classes_of_a_size() -> dict:
    return trained_on(with_classes(400, 200))


@healthy("DAT008")
def a_rare_class_drawn_more_often() -> dict:
    return trained_on(with_classes(580, 20), sampler=WeightedRandomSampler([1.0] * 580 + [29.0] * 20, 600))


@healthy("DAT008")
def a_rare_class_with_a_weight() -> dict:
    weight = torch.tensor([1.0, 29.0])
    return trained_on(with_classes(580, 20), lambda logits, y: F.cross_entropy(logits, y, weight=weight))


@sick("DAT011", "50% of 128 training rows", severity="info")
def each_row_twice() -> dict:
    x, y = rows().tensors
    return trained_on(TensorDataset(torch.cat([x, x]), torch.cat([y, y]) % 2))


@healthy("DAT011")
def each_row_once() -> dict:
    return trained_on(with_classes(300, 300))


@sick("DAT008", "all of 256 rows have the class 0", severity="warning")
def a_single_class() -> dict:
    return trained_on(with_classes(256))


@healthy("DAT008")
def a_single_class_that_no_loss_compares() -> dict:
    return trained_on(with_classes(256), lambda outputs, y: outputs.square().mean())
