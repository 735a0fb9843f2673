"""Patients of the rule on accumulated batches."""

from doctor_inputs import loader
from patient import healthy, sick
from torch import nn

from lightning_tricks.doctor.facts.context_facts import PlanFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.reading.read_data import read_loader
from lightning_tricks.doctor.reading.read_model import read_model


def accumulated(batches: int) -> dict:
    plan = PlanFacts(epochs=3, steps=3, accumulate=batches, devices=1)
    return {"evidence": Evidence(read_model(nn.Linear(2, 1)), plan=plan, train_loader=read_loader(loader()))}


@sick("OPT018", "64 batches are accumulated, but an epoch has 4", severity="warning")
def more_batches_than_an_epoch_has() -> dict:
    return accumulated(64)


@healthy("OPT018")
def one_gradient_over_all_rows() -> dict:
    return accumulated(4)
