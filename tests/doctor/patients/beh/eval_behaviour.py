"""Patients of the rules on what a model does in eval mode."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from foreign_table import on_table
from patient import Calling, Step, classes, healthy, sick
from torch import nn


def rows() -> torch.Tensor:
    return classes()[0]


def calling(function: Any) -> dict:
    return {"model": Calling(function, fc=nn.Linear(8, 3)), "batch": rows()}


def with_zero_head() -> nn.Module:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.zeros_(net[2].weight)
    return net


@sick("BEH001", "when the inputs change", severity="error")
def input_is_overwritten() -> dict:
    return calling(lambda net, x: net.fc(torch.zeros_like(x)))


@sick("BEH001", "at initialization", "2.weight", severity="info")
def head_that_begins_at_zero() -> dict:
    return {"model": with_zero_head(), "batch": rows()}


@healthy("BEH001")
def inputs_count() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes()}


@sick("BEH007", "rand is called", severity="warning")
def noise_in_eval_mode() -> dict:
    return calling(lambda net, x: net.fc(x) + torch.rand(3))


@sick("BEH007", severity="info")
def sampling_on_purpose() -> dict:
    return calling(lambda net, x: net.fc(x) + torch.randn(3))


@healthy("BEH007")
def noise_in_training_alone() -> dict:
    return calling(lambda net, x: net.fc(x) + (torch.rand(3) if net.training else 0))


@sick("BEH001", "at initialization: net.2.weight is zero", severity="info")
def head_of_zeros_in_a_module_without_forward() -> dict:
    class Steps(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            nn.init.zeros_(self.net[2].weight)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    return {"model": Steps(), "batch": (torch.randn(16, 4), torch.arange(16) % 3)}


@sick("BEH007", severity="info")
def positions_chosen_at_random() -> dict:
    return calling(lambda net, x: net.fc(x * (torch.rand(8).argsort() < 4)))


@healthy("BEH001")
def a_deep_net_whose_norms_are_untrained() -> dict:
    layers = [part for _ in range(6) for part in (nn.Linear(8, 8), nn.BatchNorm1d(8))]
    net = nn.Sequential(*layers, nn.Linear(8, 3))
    for layer in net[:-1:2]:
        nn.init.normal_(layer.weight, std=1e-2)
    return {"model": net, "batch": rows()}


class Spike(torch.autograd.Function):
    """A threshold with the gradient of a sigmoid, as in spiking networks."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return (x > 5).to(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        rate = ctx.saved_tensors[0].sigmoid()
        return grad * rate * (1 - rate)


@sick("BEH001", "although their gradient is not zero", severity="info")
def units_that_do_not_spike_yet() -> dict:
    net = Calling(lambda net, x: Spike.apply(net.fc(x)), fc=nn.Linear(8, 3))
    return {"model": Step(net, lambda out, y: F.mse_loss(out, F.one_hot(y, 3).float())), "batch": classes()}


@healthy("BEH001")
def features_in_a_table_of_another_library() -> dict:
    return on_table()
