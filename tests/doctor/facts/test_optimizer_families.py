"""Optimizers are told by their class and the keys of their defaults; unknown ones are left alone."""

import inspect

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from transformers.optimization import Adafactor

from lightning_tricks.doctor.facts.optimizer_facts import OptimizerFact
from lightning_tricks.doctor.facts.optimizer_families import family_of
from lightning_tricks.doctor.reading.read_optimizers import read_optimizers

EXPECTED = {
    "SGD": "SGD", "ASGD": "SGD", "Adam": "Adam", "AdamW": "Adam", "Adamax": "Adam", "NAdam": "Adam", "RAdam": "Adam",
    "SparseAdam": "Adam", "RMSprop": "Adam", "Adadelta": "Adadelta", "Adagrad": "Adagrad", "Muon": "Muon",
    "LBFGS": None, "Rprop": None, "Adafactor": None,
}  # fmt: skip
OF_TORCH = [getmember for _, getmember in inspect.getmembers(torch.optim, inspect.isclass)
            if issubclass(getmember, Optimizer) and getmember is not Optimizer]  # fmt: skip


def fact_of(optimizer: Optimizer) -> OptimizerFact:
    return read_optimizers(nn.Linear(2, 2), [optimizer])[0]


@pytest.mark.parametrize("kind", OF_TORCH, ids=lambda item: item.__name__)
def test_torchs_own_are_known(kind: type) -> None:
    family = family_of(fact_of(kind([nn.Parameter(torch.zeros(2, 2))])))
    assert (family.name if family else None) == EXPECTED.get(kind.__name__)


def test_torchs_adamw_is_decoupled_and_adam_is_not() -> None:
    params = [nn.Parameter(torch.zeros(2))]
    coupled = {kind.__name__: family_of(fact_of(kind(params))) for kind in (torch.optim.Adam, torch.optim.AdamW)}
    assert [family and family.decoupled for family in coupled.values()] == [False, True]
    assert family_of(fact_of(torch.optim.Adam(params, decoupled_weight_decay=True))).decoupled
    assert family_of(fact_of(torch.optim.SGD(params, 0.1))).decoupled is False


@pytest.mark.parametrize(
    ("kind", "defaults", "family", "decoupled"),
    [
        ("AdamW8bit", {"betas.0": 0.9, "eps": 1e-8, "weight_decay": 0.01}, "Adam", True),
        ("PagedAdam32bit", {"betas.0": 0.9, "eps": 1e-8}, "Adam", None),
        ("Lion8bit", {"betas.0": 0.9, "weight_decay": 0.0}, "Lion", True),
        ("Lamb", {"betas.0": 0.9, "eps": 1e-6, "trust_clip": False}, "Adam", True),
        ("RMSpropTF", {"alpha": 0.9, "eps": 1e-10, "momentum": 0.0}, "Adam", None),
        ("SGDP", {"momentum": 0.9, "dampening": 0, "nesterov": True}, "SGD", None),
        ("Lars", {"momentum": 0.9, "nesterov": True, "trust_coeff": 1e-3}, None, None),
        ("Prodigy", {"betas.0": 0.9, "eps": 1e-8, "d0": 1e-6, "d_coef": 1.0}, None, None),
        ("Unheard", {"lr": 1.0}, None, None),
    ],
)
def test_others_are_told_by_their_keys(kind: str, defaults: dict, family: str | None, decoupled: bool | None) -> None:
    found = family_of(OptimizerFact(kind, "elsewhere.optim", (kind,), {"lr": 1e-3, **defaults}, ()))
    assert (found.name if found else None) == family
    assert found is None or found.decoupled is decoupled


def test_adafactor_of_transformers_has_rates_of_its_own() -> None:
    assert family_of(fact_of(Adafactor([nn.Parameter(torch.zeros(2, 2))]))) is None
