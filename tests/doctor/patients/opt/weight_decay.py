"""Patients of the rule on weight decay against the gradient."""

from typing import Any

import torch
from doctor_inputs import batch, lit, net
from patient import healthy, sick


def decaying(make: Any) -> dict:
    return {"model": lit(net(), tuning=make), "batch": batch()}


@sick("OPT014", "times as much", severity="warning")
def a_decay_of_five() -> dict:
    return decaying(lambda params: torch.optim.SGD(params, 0.01, weight_decay=5.0))


@sick("OPT014", "Adam's weight_decay")
def a_decay_in_adam() -> dict:
    return decaying(lambda params: torch.optim.Adam(params, 1e-3, weight_decay=3.0))


@healthy("OPT014")
def a_small_decay() -> dict:
    return decaying(lambda params: torch.optim.SGD(params, 0.01, weight_decay=5e-4))


@healthy("OPT014")
def a_decoupled_decay() -> dict:
    return decaying(lambda params: torch.optim.AdamW(params, 1e-3, weight_decay=5.0))


@healthy("OPT014")
def no_decay() -> dict:
    return decaying(lambda params: torch.optim.SGD(params, 0.01))
