"""Patients of the rule on the direction of a monitored metric."""

import torch
from doctor_inputs import with_optimizer
from patient import healthy, sick
from torch import nn

from lightning_tricks.doctor.facts.context_facts import MonitorFact, PlanFacts
from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.reading.read_model import read_model


def monitoring(name: str, mode: str) -> dict:
    plan = PlanFacts(epochs=3, steps=30, accumulate=1, devices=1, monitors=(MonitorFact("EarlyStopping", name, mode),))
    return {"evidence": Evidence(read_model(nn.Linear(2, 1)), plan=plan)}


def on_plateau(mode: str) -> dict:
    def tuned(params: list) -> dict:
        sgd = torch.optim.SGD(params, 0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, mode=mode)
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}

    return with_optimizer(tuned)


@sick("OPT016", "EarlyStopping monitors 'val_loss' with mode='max'", severity="warning")
def stopping_when_the_loss_falls() -> dict:
    return monitoring("val_loss", "max")


@sick("OPT016", "'val/top1_acc' with mode='min'")
def stopping_when_the_accuracy_rises() -> dict:
    return monitoring("val/top1_acc", "min")


@sick("OPT016", "ReduceLROnPlateau monitors 'val_loss' with mode='max'")
def reducing_the_rate_when_the_loss_falls() -> dict:
    return on_plateau("max")


@healthy("OPT016")
def a_plateau_of_a_loss() -> dict:
    return on_plateau("min")


@healthy("OPT016")
def an_accuracy_that_is_to_rise() -> dict:
    return monitoring("valAccuracy", "max")


@healthy("OPT016")
def a_negated_loss() -> dict:
    return monitoring("neg_val_loss", "max")


@healthy("OPT016")
def a_metric_of_unknown_direction() -> dict:
    return monitoring("val_score", "min")
