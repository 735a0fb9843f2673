"""Patients of the rules on the numbers of a run: what a run has shown is written down here."""

from patient import healthy, sick
from runs import ran
from torch import nn

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import RunFacts
from lightning_tricks.doctor.reading.read_model import read_model


@sick("RUN003", "NaN or infinite at step 17", severity="error")
def a_loss_that_broke() -> dict:
    return ran(first_bad_step=17)


@healthy("RUN003")
def finite_losses() -> dict:
    return ran()


@sick("OPT010", "still held those of the step before", severity="error")
def gradients_that_pile_up() -> dict:
    return ran(not_zeroed=(0,))


@healthy("OPT010")
def gradients_that_are_zeroed() -> dict:
    return ran()


@sick("RUN008", "Linear's weight, bias", severity="warning")
def a_head_that_stays() -> dict:
    return ran(unchanged=("2.weight", "2.bias"))


@healthy("RUN008")
def a_bias_before_batch_norm_that_stays() -> dict:
    return ran(unchanged=("0.bias",))


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
