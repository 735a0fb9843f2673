"""Patients of the rules on learning rates."""

import copy
from typing import Any

import torch
from doctor_inputs import net, with_optimizer
from patient import healthy, sick
from torch import nn
from torch.optim import SGD, Adadelta, Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR


class AdamW8bit(Adam):
    """Another library's: told by the keys of its defaults."""


class Magic(torch.optim.Optimizer):
    """Of no family."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "spell": 1})


def trained(width: int = 32) -> nn.Sequential:
    """A net whose units differ in size, as after training, under a new head."""
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.mul_(torch.linspace(0.2, 3, width).unsqueeze(1))
    return model


def half_frozen() -> nn.Module:
    backbone = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    backbone[0].requires_grad_(False)
    return nn.Sequential(backbone, nn.ReLU(), nn.Linear(8, 2))


def warm_up(params: Any, lr: float) -> Any:
    adam = Adam(params, lr)
    return [adam], [LambdaLR(adam, lambda step: min(1.0, step / 10))]


class Run:
    """What the plan is read from: five epochs of four batches."""

    max_epochs, max_steps, accumulate_grad_batches, num_training_batches, world_size = 5, -1, 1, 4, 1


def in_a_run(patient: dict) -> dict:
    patient["model"]._trainer = Run()
    return patient


@sick("OPT001", "lr = 3", "more than 10 × outside SGD's typical range [0.01, 0.1]", severity="warning")
def sgd_too_high() -> dict:
    return with_optimizer(lambda params: SGD(params, 3.0))


@sick("OPT001", "Adam's typical range", severity="warning")
def adam_too_low() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-6))


@sick("OPT001", "lr = 0.5", severity="warning")
def warm_up_to_a_peak_too_high() -> dict:
    return with_optimizer(lambda params: warm_up(params, 0.5))


@sick("OPT001", "Adam's", severity="warning")
def anothers_adam_too_high() -> dict:
    return with_optimizer(lambda params: AdamW8bit(params, 0.5))


@sick("OPT001", "lr = 0: no parameter changes", severity="warning")
def nothing_moves() -> dict:
    return with_optimizer(lambda params: SGD(params, 0.0))


@sick("OPT001", severity="info")
def within_the_widening() -> dict:
    return with_optimizer(lambda params: Adam(params, 3e-4))


@healthy("OPT001")
def customary_rates() -> dict:
    return with_optimizer(lambda p: [SGD(p, 0.1), Adam(p, 1e-3), Adadelta(p, 0.1), *warm_up(p, 1e-3)[0]])


@healthy("OPT001")
def fine_tuning_at_a_low_rate() -> dict:
    return with_optimizer(lambda params: AdamW(params, 2e-5), trained())


@sick("OPT002", "lr = 0.001", "no initializer draws")
def trained_weights_at_a_rate_from_scratch() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-3), trained())


@sick("OPT002", "weights are frozen")
def neighbours_of_frozen_layers() -> dict:
    model = nn.Sequential(half_frozen()[0], nn.Linear(8, 2))
    model[0][2].requires_grad_(True)
    return with_optimizer(lambda params: SGD(params, 0.1), model)


def with_counted_norm(passes: int, affine: bool = True, trained: bool = False) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, affine=affine), nn.ReLU(), nn.Linear(8, 2))
    for _ in range(passes):
        model[:2](torch.randn(8, 4))
    if trained:
        nn.init.normal_(model[1].weight, 1.0, 0.1)
    return nn.Sequential(model[:3], model[3])


@sick("OPT002", "has counted 3 batches")
def batch_norms_that_have_counted_and_were_trained() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-2), with_counted_norm(3, trained=True))


@sick("OPT002", "has counted 20 batches")
def batch_norms_without_a_scale_that_have_counted() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-2), with_counted_norm(20, affine=False))


@healthy("OPT002")
def dummy_passes_in_a_constructor() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-2), with_counted_norm(3))


@healthy("OPT002")
def dummy_passes_through_a_norm_without_a_scale() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-2), with_counted_norm(3, affine=False))


@healthy("OPT002")
def momentum_copy_of_a_trainable_encoder() -> dict:
    model = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))})
    model["momentum"] = copy.deepcopy(model["encoder"]).requires_grad_(False)
    model["head"] = nn.Linear(8, 2)
    return with_optimizer(lambda params: SGD([each for each in params if each.requires_grad], 0.1), model)


@healthy("OPT002")
def one_fixed_projection_among_many_layers() -> dict:
    layers = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()]
    layers[0].requires_grad_(False)
    model = nn.ModuleDict({"net": nn.Sequential(*layers), "head": nn.Linear(8, 2)})
    return with_optimizer(lambda params: SGD([each for each in params if each.requires_grad], 0.1), model)


class Adapted(nn.Module):
    """A frozen layer with a trainable update of low rank."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + x @ self.down.T @ self.up.T


@healthy("OPT002")
def adapters_around_frozen_layers() -> dict:
    model = nn.Sequential(Adapted(nn.Linear(4, 8)), nn.ReLU(), Adapted(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 2))
    return with_optimizer(lambda params: Adam([each for each in params if each.requires_grad], 1e-3), model)


@healthy("OPT002")
def trained_weights_at_a_tenth() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-4), trained())


@healthy("OPT002")
def a_group_of_the_new_head() -> dict:
    return with_optimizer(
        lambda params: Adam([{"params": params[:-2], "lr": 2e-5}, {"params": params[-2:]}], 1e-3), trained()
    )


@sick("OPT002", "0.001 for pretrained weights")
def trained_weights_in_a_new_run() -> dict:
    return in_a_run(with_optimizer(lambda params: Adam(params, 1e-3), trained()))


@healthy("OPT002")
def drawn_weights() -> dict:
    return with_optimizer(lambda params: Adam(params, 1e-2), net(hidden=64))


def rates_in_place_of_factors(params: Any) -> Any:
    adam = Adam(params, 1e-3)
    return [adam], [LambdaLR(adam, lambda epoch: 1e-3 * 0.95**epoch)]


@sick("OPT001", "lr = 1e-06", severity="warning")
def a_schedule_that_multiplies_the_rate_by_itself() -> dict:
    patient = with_optimizer(rates_in_place_of_factors)
    patient["model"]._trainer = Run()
    return patient
