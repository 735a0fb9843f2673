"""Patients of the rules on what a user states."""

import torch
from patient import Calling, Step, classes, healthy, sick
from torch import nn

from lightning_tricks import Contracts


def backbone(frozen: bool, norm: bool = False) -> nn.Sequential:
    layers = [nn.Linear(8, 8), nn.BatchNorm1d(8) if norm else nn.ReLU()]
    net = nn.Sequential()
    net.add_module("backbone", nn.Sequential(*layers).requires_grad_(not frozen))
    net.add_module("head", nn.Linear(8, 3))
    return net


@sick("CON001", "2 of 2 parameters of frozen='backbone.*' are trainable (backbone.0.weight, ...)", severity="error")
def a_backbone_that_trains() -> dict:
    return {"model": backbone(frozen=False), "contracts": Contracts(frozen=["backbone.*"])}


@sick("CON001", "1 of 2 parameters of frozen='backbone' are trainable (backbone.0.bias, ...)")
def a_backbone_with_one_forgotten_parameter() -> dict:
    net = backbone(frozen=True)
    net.backbone[0].bias.requires_grad_(True)
    return {"model": net, "contracts": Contracts(frozen=["backbone"])}


@sick("CON001", "no parameter matches frozen='trunk.*'")
def a_pattern_that_fits_nothing() -> dict:
    return {"model": backbone(frozen=True), "contracts": Contracts(frozen=["trunk.*"])}


@sick("CON001", "a batch norm of frozen='net.backbone.*' updates its statistics")
def a_frozen_backbone_whose_batchnorm_learns() -> dict:
    model = Step(backbone(frozen=True, norm=True))
    return {"model": model, "batch": classes(), "contracts": Contracts(frozen=["net.backbone.*"])}


@healthy("CON001")
def a_frozen_backbone() -> dict:
    net = backbone(frozen=True, norm=True)
    net.backbone.eval()
    return {"model": Step(net), "batch": classes(), "contracts": Contracts(frozen="net.backbone.*")}


@sick("CON002", "the output has shape (16, 3), but the contract requires (any, 4)", severity="error")
def another_number_of_classes() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes(), "contracts": Contracts(output_shape=(None, 4))}


@sick("CON002", "the output has shape (16, 3), but the contract requires (N, N)")
def two_sizes_of_one_name() -> dict:
    return {"model": nn.Linear(8, 3), "batch": classes()[0], "contracts": Contracts(output_shape=("N", "N"))}


@sick("CON002", "the output has shape (16, 1), but the contract requires (N)")
def a_dimension_too_many() -> dict:
    return {"model": nn.Linear(8, 1), "batch": classes()[0], "contracts": Contracts(output_shape=["N"])}


@healthy("CON002")
def the_stated_shape() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes(), "contracts": Contracts(output_shape=("N", 3))}


@healthy("CON002")
def of_several_outputs_the_first_counts() -> dict:
    model = Calling(lambda parts, x: {"logits": parts.head(x), "hidden": x}, head=nn.Linear(8, 3))
    return {"model": model, "batch": classes()[0], "contracts": Contracts(output_shape=("N", 3))}


@sick("CON003", "the output is in [-", "the contract requires [0, 1]", severity="error")
def logits_stated_as_probabilities() -> dict:
    return {"model": nn.Linear(8, 3), "batch": classes()[0], "contracts": Contracts(output_range=(0, 1))}


@sick("CON003", "are not finite")
def values_that_are_not_finite() -> dict:
    model = Calling(lambda parts, x: torch.log(-parts.head(x).abs()), head=nn.Linear(8, 3))
    return {"model": model, "batch": classes()[0], "contracts": Contracts(output_range=(-100, 100))}


@sick("CON003", ", 7], but the contract requires [0, 1]")
def one_value_of_many_outside() -> dict:
    def forward(parts: nn.Module, x: torch.Tensor) -> torch.Tensor:
        out = parts.head(x).sigmoid().clone()
        out[1, 12345] = 7.0
        return out

    model = Calling(forward, head=nn.Linear(8, 40000))
    return {"model": model, "batch": classes(2)[0], "contracts": Contracts(output_range=(0, 1))}


@healthy("CON003")
def probabilities() -> dict:
    model = nn.Sequential(nn.Linear(8, 3), nn.Softmax(-1))
    return {"model": model, "batch": classes()[0], "contracts": Contracts(output_range=(0, 1))}
