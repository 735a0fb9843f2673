"""Patients of the rules on dropout's rate."""

from patient import healthy, sick
from torch import nn


@sick("PLC005", "Dropout", "p = 0.9", "0.7", severity="warning")
def most_is_dropped() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9), nn.Linear(4, 1))}


@sick("PLC005", "p = 1", severity="error")
def all_is_dropped() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout2d(1.0))}


@sick("PLC005", "p = 0.1", "[0.2, 0.5]", "3 times", severity="info")
def a_transformers_rate_is_only_mentioned_once() -> dict:
    blocks = [nn.ModuleDict({"layer": nn.Linear(4, 4), "drop": nn.Dropout(0.1)}) for _ in range(3)]
    return {"model": nn.Sequential(*blocks)}


@healthy("PLC005")
def customary_rate() -> dict:
    return {"model": nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.Dropout(0.0), nn.Linear(4, 1))}


@healthy("PLC005")
def attention_dropout() -> dict:
    return {"model": nn.ModuleDict({"attention_dropout": nn.Dropout(0.1)})}
