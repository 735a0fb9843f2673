"""Patients of the rule on modules that are in training mode while a run validates."""

from patient import healthy, sick
from runs import ran
from torch import nn

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.reading.read_model import read_model


@sick("BEH005", "BatchNorm1d is in training mode", severity="error")
def a_batch_norm_that_learns_from_validation_rows() -> dict:
    return ran(training_modes=("1",))


@sick("BEH005", severity="info")
def dropout_that_samples_predictions() -> dict:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))
    return {"evidence": Evidence(read_model(model), run=RunFacts(training_modes=("1",)))}


@healthy("BEH005")
def all_in_eval_mode() -> dict:
    return ran()
