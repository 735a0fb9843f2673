"""Patients of the rule on the terms of a loss."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from patient import Step, classes, healthy, numbers, sick
from torch import Tensor, nn


def net(loss: Any, outputs: int = 1) -> Step:
    return Step(nn.Linear(8, outputs), loss)


@sick("LOS009", "more than a factor of 1000", severity="warning")
def far_apart() -> dict:
    return {"model": net(lambda out, y: F.mse_loss(out, y) + 1e4 * out.abs().mean()), "batch": numbers()}


@healthy("LOS009")
def near_each_other() -> dict:
    return {"model": net(lambda out, y: F.mse_loss(out, y) + 0.5 * out.abs().mean()), "batch": numbers()}


class Tasks(Step):
    """A trunk with a class head and a number head, and a loss of both."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor], scale: float = 1.0) -> None:
        super().__init__(nn.Sequential(nn.Linear(8, 16), nn.ReLU()))
        self.of_class, self.of_number = nn.Linear(16, 3), nn.Linear(16, 1)
        self.combine, self.scale = combine, scale

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        h = self.net(x)
        return self.combine(F.cross_entropy(self.of_class(h), y), F.mse_loss(self.of_number(h), self.scale * x[:, :1]))


def _tasks(combine: Callable[[Tensor, Tensor], Tensor], scale: float = 1.0) -> dict:
    return {"model": Tasks(combine, scale), "batch": classes()}


def _in_place(first: Tensor, second: Tensor) -> Tensor:
    first += second
    return first


@sick("LOS009", "`cross_entropy` and `mse_loss`", "for `net.0.weight`", "a factor of 1000", severity="warning")
def a_task_in_dollars() -> dict:
    return _tasks(lambda a, b: a + b, 1e4)


@sick("LOS009", "a factor of 1000", severity="warning")
def a_task_in_dollars_added_in_place() -> dict:
    return _tasks(_in_place, 1e4)


@sick("LOS009", severity="info")
def a_task_with_a_small_weight() -> dict:
    return _tasks(lambda a, b: a + 1e-4 * b)


@healthy("LOS009")
def two_tasks_with_weights() -> dict:
    return _tasks(lambda a, b: a + 0.3 * b)


@healthy("LOS009")
def a_large_value_with_a_gradient_like_the_others() -> dict:
    return _tasks(lambda a, b: a + (b + 1e4))


class Autoencoder(Step):
    """A variational autoencoder with one of three ways to reduce its two terms."""

    def __init__(self, reduced: str) -> None:
        super().__init__(nn.ModuleDict({"encoder": nn.Linear(8, 8), "decoder": nn.Linear(4, 8)}))
        self.reduced = reduced

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x = batch[0]
        mean, log_variance = self.net.encoder(x).chunk(2, 1)
        code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        error = F.mse_loss(self.net.decoder(code), x, reduction="mean" if self.reduced == "error" else "sum")
        return (error + divergence) / len(x) if self.reduced == "both" else error + divergence


@healthy("LOS009")
def the_bound_of_a_variational_autoencoder() -> dict:
    return {"model": Autoencoder("neither"), "batch": classes()}


@healthy("LOS009")
def the_averaged_bound_of_a_variational_autoencoder() -> dict:
    return {"model": Autoencoder("both"), "batch": classes()}


@sick("LOS009", "`mse_loss` and `mul`", "a factor of 1000", severity="warning")
def a_divergence_that_is_summed_beside_an_error_that_is_averaged() -> dict:
    return {"model": Autoencoder("error"), "batch": numbers(2048)}


class Bounded(Step):
    """The error of an equation, and a boundary: the net at one constant point."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return 0.04 * self.net(batch[0]).square().mean() + (self.net(torch.zeros(1, 8)) - 1).square().mean()


@healthy("LOS009")
def a_boundary_is_no_penalty() -> dict:
    net = nn.Linear(8, 1)
    nn.init.constant_(net.weight, 0.2)
    nn.init.zeros_(net.bias)
    return {"model": Bounded(net), "batch": numbers()}


class Penalized(Step):
    """A cross entropy and a penalty of the weights."""

    def __init__(self, factor: float) -> None:
        super().__init__(nn.Linear(8, 3))
        self.factor = factor

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        penalty = sum(parameter.square().sum() for parameter in self.parameters())
        return super().training_step(batch, batch_idx) + self.factor * penalty


@sick("LOS009", "terms without the batch", severity="warning")
def a_penalty_that_exceeds_the_loss() -> dict:
    return {"model": Penalized(100.0), "batch": classes()}


@healthy("LOS009")
def a_small_penalty() -> dict:
    return {"model": Penalized(0.1), "batch": classes()}
