"""Patients of the rules on the use of the test set."""

from dataclasses import replace

import torch
from doctor_inputs import lit, loader, net, rows
from patient import healthy, sick
from torch import nn
from torch.utils.data import Subset, TensorDataset

from lightning_tricks.doctor.facts.context_facts import MonitorFact, PlanFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.reading.read_model import read_model


def three(train, val, test) -> dict:
    return {
        "model": lit(net()),
        "train_dataloaders": loader(train),
        "val_dataloaders": loader(val, shuffle=False),
        "test_dataloaders": loader(test, shuffle=False),
    }


@sick("DAT012", "100% of the test rows are in the training set", severity="error")
def a_test_set_copied_from_training() -> dict:
    x, y = rows().tensors
    return three(TensorDataset(x, y), rows(16, classes=2), TensorDataset(x[:16].clone(), y[:16]))


@sick("DAT012", "validation set", "by their indices")
def validation_used_as_the_test_set() -> dict:
    dataset = rows()
    return three(Subset(dataset, range(40)), Subset(dataset, range(40, 64)), Subset(dataset, range(40, 64)))


@healthy("DAT012")
def three_parts_of_one_set() -> dict:
    dataset = rows()
    return three(Subset(dataset, range(40)), Subset(dataset, range(40, 52)), Subset(dataset, range(52, 64)))


@healthy("DAT012")
def coarse_rows() -> dict:
    x = torch.randint(3, (240, 4), generator=torch.Generator().manual_seed(0)).float()
    sets = [TensorDataset(part, torch.arange(len(part)) % 2) for part in x.split([160, 40, 40])]
    return three(*sets)


@healthy("DAT012")
def three_sets() -> dict:
    return three(rows(), rows(32, classes=2), TensorDataset(torch.randn(16, 4), torch.zeros(16, dtype=torch.int64)))


@healthy("DAT012")
def a_test_set_of_blank_rows() -> dict:
    x, y = rows().tensors
    x[::2] = 0.0
    return three(TensorDataset(x, y), rows(16, classes=2), TensorDataset(torch.zeros(8, 4), y[:8]))


def monitoring(*names: str) -> dict:
    plan = PlanFacts(epochs=3, steps=30, accumulate=1, devices=1)
    monitors = tuple(MonitorFact("EarlyStopping", name) for name in names)
    return {"evidence": Evidence(read_model(nn.Linear(2, 1)), plan=replace(plan, monitors=monitors))}


@sick("DAT013", "EarlyStopping monitors 'test_loss'", severity="error")
def stopping_by_the_test_loss() -> dict:
    return monitoring("val_loss", "test_loss")


@sick("DAT013", "'test/acc'")
def picking_by_the_test_accuracy() -> dict:
    return monitoring("test/acc")


@healthy("DAT013")
def stopping_by_the_validation_loss() -> dict:
    return monitoring("val_loss", "train_loss")


@healthy("DAT013")
def words_that_hold_test() -> dict:
    return monitoring("latest_loss", "val_contest")


@healthy("DAT013")
def no_monitor() -> dict:
    return monitoring()
