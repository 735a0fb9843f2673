"""Patients of the rules on what is trained."""

from typing import Any

import torch
from patient import Calling, Step, classes, healthy, sick
from torch import nn


def step(function: Any, **parts: nn.Module) -> dict:
    return {"model": Step(Calling(function, a=nn.Linear(8, 8), b=nn.Linear(8, 3), **parts)), "batch": classes()}


def norm_in_eval(frozen: bool) -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    model[1].eval().requires_grad_(not frozen)
    return model


@sick("BEH004", "BatchNorm1d has training = False", severity="warning")
def norm_left_in_eval_mode() -> dict:
    return {"model": norm_in_eval(frozen=False)}


@sick("BEH004", "Dropout", severity="warning")
def dropout_left_in_eval_mode() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5).eval())}


@healthy("BEH004")
def frozen_norm() -> dict:
    return {"model": norm_in_eval(frozen=True)}


@healthy("BEH004")
def all_in_eval_mode() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()}


@sick("BEH006", "Linear's weight, bias gets no gradient", severity="warning")
def unused_layer() -> dict:
    return step(lambda net, x: net.b(x))


@sick("BEH006", "exactly 0", severity="info")
def layer_behind_zeros() -> dict:
    return step(lambda net, x: net.b(x) + 0 * net.a(x)[:, :3])


@healthy("BEH006")
def both_are_used() -> dict:
    return step(lambda net, x: net.b(net.a(x).relu()))


@healthy("BEH006")
def unused_and_frozen() -> dict:
    found = step(lambda net, x: net.b(x))
    found["model"].net.a.requires_grad_(False)
    return found


@sick("BEH008", "`detach`", "net.a.bias", severity="warning")
def detached_in_the_middle() -> dict:
    return step(lambda net, x: net.b(net.a(x).detach()))


@sick("BEH008", "`round`", severity="warning")
def rounded_in_the_middle() -> dict:
    return step(lambda net, x: net.b(net.a(x).round()))


@sick("BEH008", "`linear`", severity="warning")
def without_grad() -> dict:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = torch.nn.functional.linear(x, net.a.weight)
        return net.b(x)

    return step(forward)


@healthy("BEH008")
def straight_through() -> dict:
    return step(lambda net, x: net.b((lambda h: h + (h.round() - h).detach())(net.a(x))))


@healthy("BEH008")
def teacher_that_is_frozen() -> dict:
    found = step(lambda net, x: net.b(net.a(x).detach()))
    found["model"].net.a.requires_grad_(False)
    return found


@sick("BEH003", "in 200 steps", severity="warning")
def targets_that_nothing_tells() -> dict:
    x, y = classes()
    return {"model": Step(nn.Linear(8, 3)), "batch": (torch.ones_like(x), y)}


@healthy("BEH003")
def a_batch_learnt_by_heart() -> dict:
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))
    return {"model": Step(net), "batch": classes()}
