"""Patients of the rules on shapes, targets and size of a loss."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Step, classes, healthy, numbers, sick
from torch import nn


def net(loss: Any, outputs: int = 1) -> Step:
    return Step(nn.Linear(8, outputs), loss)


@sick("LOS007", "`mse_loss`", "[16, 1] and [16]", severity="error")
def column_against_row() -> dict:
    x, y = numbers()
    return {"model": net(F.mse_loss), "batch": (x, y.squeeze(1))}


@sick("LOS007", "a difference that enters the loss", "[16, 1] and [16]", severity="error")
def column_against_row_by_hand() -> dict:
    x, y = numbers()
    return {"model": net(lambda out, y: ((out - y) ** 2).mean()), "batch": (x, y.squeeze(1))}


@sick("LOS007", "[16, 1] and [16, 5]", severity="info")
def a_mixture_of_densities() -> dict:
    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        parts = torch.distributions.Normal(out, torch.ones_like(out)).log_prob(y)
        return -torch.logsumexp(parts, 1).mean()

    return {"model": net(loss, 5), "batch": numbers()}


@healthy("LOS007")
def equal_shapes() -> dict:
    return {"model": net(lambda out, y: F.l1_loss(out, y) + ((out - y) ** 2).mean()), "batch": numbers()}


@healthy("LOS007")
def mean_taken_off() -> dict:
    return {"model": net(lambda out, y: ((out - out.mean(0)) ** 2).mean() + F.mse_loss(out, y)), "batch": numbers()}


@sick("LOS008", "sums over [16, 3]", severity="warning")
def summed_loss() -> dict:
    return {"model": net(nn.CrossEntropyLoss(reduction="sum"), 3), "batch": classes()}


@sick("LOS008", severity="info")
def summed_loss_beside_a_divergence() -> dict:
    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        divergence = F.kl_div(out.log_softmax(1), torch.full_like(out, 1 / 3), reduction="sum")
        return F.cross_entropy(out, y, reduction="sum") + divergence

    return {"model": net(loss, 3), "batch": classes()}


@healthy("LOS008")
def summed_and_divided() -> dict:
    loss = lambda out, y: F.cross_entropy(out, y, reduction="sum") / len(y)  # noqa: E731
    return {"model": net(loss, 3), "batch": classes()}


@sick("LOS010", "does not require a gradient", severity="error")
def detached_loss() -> dict:
    return {"model": net(lambda out, y: F.mse_loss(out.detach(), y)), "batch": numbers()}


@sick("LOS010", "none of 2", severity="error")
def loss_of_something_else() -> dict:
    loss = lambda out, y: F.mse_loss(torch.zeros_like(out, requires_grad=True), y)  # noqa: E731
    return {"model": net(loss), "batch": numbers()}


@healthy("LOS010")
def loss_of_the_output() -> dict:
    return {"model": net(F.mse_loss), "batch": numbers()}


@sick("LOS011", "2 classes", "[0, 2]", severity="error")
def a_class_too_many_which_pytorch_refuses() -> dict:
    return {"model": net(F.cross_entropy, 2), "batch": classes()}


@sick("LOS011", "whole numbers", severity="error")
def float_indices_which_pytorch_refuses() -> dict:
    x, y = classes()
    return {"model": net(F.cross_entropy, 3), "batch": (x, y.float())}


@healthy("LOS011")
def ignored_index_and_soft_labels() -> dict:
    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        soft = F.one_hot(y, 3) * 0.9 + 1 / 30
        return F.cross_entropy(out, soft) + F.cross_entropy(out, torch.where(y == 2, -100, y))

    return {"model": net(loss, 3), "batch": classes()}


@sick("LOS011", "with 1.5 ones in a row on average", severity="warning")
def several_labels_in_a_cross_entropy() -> dict:
    labels = torch.zeros(16, 3)
    labels[:, 0] = 1.0
    labels[::2, 1] = 1.0
    return {"model": net(F.cross_entropy, 3), "batch": (classes()[0], labels)}


@healthy("LOS011")
def one_hot_labels_in_a_cross_entropy() -> dict:
    x, y = classes()
    return {"model": net(F.cross_entropy, 3), "batch": (x, F.one_hot(y, 3).float())}
