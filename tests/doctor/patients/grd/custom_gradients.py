"""Patients of the rule on backward passes written by hand."""

from typing import Any

import torch
from patient import Calling, classes, healthy, sick
from torch import Tensor, nn


class Right(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * grad


class Half(Right):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return ctx.saved_tensors[0] * grad


class Turned(Right):
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -2 * ctx.saved_tensors[0] * grad


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -0.5 * grad


class Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (ctx.saved_tensors[0] > 0)


def through(function: Any) -> dict:
    model = Calling(lambda net, x: net.head(function.apply(net.body(x))), body=nn.Linear(8, 8), head=nn.Linear(8, 3))
    return {"model": model, "batch": classes()[0]}


@sick("GRD001", "`Half`", severity="error")
def a_factor_that_was_forgotten() -> dict:
    return through(Half)


@sick("GRD001", "`Turned`")
def a_sign_that_is_wrong() -> dict:
    return through(Turned)


@sick("GRD001", "`Rounded`", severity="info")
def a_straight_through_estimator() -> dict:
    return through(Rounded)


@sick("GRD001", "`Reversed`", severity="info")
def a_gradient_that_is_reversed() -> dict:
    return through(Reversed)


@healthy("GRD001")
def a_right_gradient() -> dict:
    return through(Right)


@healthy("GRD001")
def a_kink() -> dict:
    return through(Cut)


@healthy("GRD001")
def no_function_of_ones_own() -> dict:
    return {"model": nn.Linear(8, 3), "batch": classes()[0]}
