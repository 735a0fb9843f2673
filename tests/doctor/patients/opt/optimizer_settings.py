"""Patients of the rules on weight decay, epsilon and momentum."""

from typing import Any

import torch
from doctor_inputs import net, with_optimizer
from patient import healthy, sick
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop


def head_alone(stale: bool = False) -> nn.Sequential:
    model = net()
    if stale:
        model(torch.randn(2, 4)).sum().backward()
    model[0].requires_grad_(False)
    return model


def with_norm() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))


def by_dimension(params: Any) -> Any:
    matrices, vectors = [p for p in params if p.dim() > 1], [p for p in params if p.dim() < 2]
    return AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}], 1e-3)


@sick("OPT003", "coupled weight_decay = 0.1", severity="warning")
def coupled_decay_of_a_decoupled_size() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-3, weight_decay=0.1))


@sick("OPT003", "decoupled weight_decay = 2", severity="warning")
def decay_that_is_all() -> dict:
    return with_optimizer(lambda params: AdamW(params, 1e-3, weight_decay=2.0))


@sick("OPT003", severity="info")
def decay_a_little_high() -> dict:
    return with_optimizer(lambda params: SGD(params, 0.1, weight_decay=5e-3))


@healthy("OPT003")
def customary_decay() -> dict:
    return with_optimizer(lambda p: [SGD(p, 0.1, weight_decay=5e-4), AdamW(p, 1e-3, weight_decay=0.1)])


@sick("OPT005", "2 of 4 parameters are frozen", severity="info")
def frozen_body() -> dict:
    return with_optimizer(lambda params: AdamW(params, 1e-3), head_alone())


@sick("OPT005", "still have a gradient", severity="warning")
def frozen_body_with_a_gradient_of_before() -> dict:
    return with_optimizer(lambda params: AdamW(params, 1e-3), head_alone(stale=True))


@healthy("OPT005")
def head_in_the_optimizer_alone() -> dict:
    return with_optimizer(lambda params: AdamW([p for p in params if p.requires_grad], 1e-3), head_alone())


@sick("OPT006", "weight_decay = 0.01 on 4 biases", severity="info")
def decay_on_everything() -> dict:
    return with_optimizer(lambda params: AdamW(params, 1e-3), with_norm())


@healthy("OPT006")
def decay_on_matrices() -> dict:
    return with_optimizer(by_dimension, with_norm())


@sick("OPT007", "eps = 1e-16")
def epsilon_lost() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-3, eps=1e-16))


@sick("OPT007", "eps = 0.1")
def epsilon_that_drowns_the_step() -> dict:
    return with_optimizer(lambda params: AdamW(params, 1e-3, eps=0.1))


@sick("OPT007", "for float16")
def epsilon_below_half_precision() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-3), net().half())


@healthy("OPT007")
def customary_epsilon() -> dict:
    return with_optimizer(lambda p: [Adam(p, 1e-3), AdamW(p, 1e-3, eps=1e-3), RMSprop(p, 1e-3, eps=1.0)])


@sick("OPT008", "momentum = 0.1")
def hardly_any_momentum() -> dict:
    return with_optimizer(lambda params: SGD(params, 0.1, momentum=0.1))


@sick("OPT008", "momentum = 1")
def momentum_for_ever() -> dict:
    return with_optimizer(lambda params: SGD(params, 0.1, momentum=1.0))


@sick("OPT008", "betas = (0.9, 0.5)")
def second_moment_of_two_steps() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-3, betas=(0.9, 0.5)))


@healthy("OPT008")
def customary_momentum() -> dict:
    return with_optimizer(lambda p: [SGD(p, 0.1), SGD(p, 0.1, momentum=0.9), Adam(p, 2e-4, betas=(0.0, 0.9))])
