"""Patients of the rules on which parameters the optimizers hold."""

import copy
from typing import Any

import torch
from patient import Step, classes, healthy, sick
from torch import nn


class Trainable(nn.Module):
    """What a LightningModule has that these rules look at."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 1)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class HeadOnly(Trainable):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.head.parameters(), 0.1)


class Twice(Trainable):
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 0.1), torch.optim.SGD(self.head.parameters(), 0.1)]


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(4, 4) for _ in range(3)]


def with_frozen_body(model: Trainable) -> Trainable:
    model.body.requires_grad_(False)
    return model


@sick("OPT004", "Linear's weight, bias", severity="error")
def body_without_optimizer() -> dict:
    return {"model": HeadOnly()}


@sick("OPT004", "in no optimizer", severity="info")
def target_network() -> dict:
    model = HeadOnly()
    model.body = copy.deepcopy(model.head)
    return {"model": model}


@healthy("OPT004")
def frozen_body() -> dict:
    return {"model": with_frozen_body(HeadOnly())}


@healthy("OPT004")
def all_are_held() -> dict:
    return {"model": Trainable()}


@sick("OPT009", "layers contains 3 × Linear", severity="error")
def layers_in_a_list() -> dict:
    return {"model": Layers()}


@sick("OPT009", severity="info")
def frozen_teacher_in_a_list() -> dict:
    model = Layers()
    for layer in model.layers:
        layer.requires_grad_(False)
    return {"model": model}


@healthy("OPT009")
def registered_layers_and_a_list_of_the_same() -> dict:
    model = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    model.order = list(model)
    return {"model": model}


@sick("OPT011", "head.weight is in 2")
def head_in_two_optimizers() -> dict:
    return {"model": Twice()}


@healthy("OPT011")
def each_once() -> dict:
    return {"model": Trainable()}


class MadeInForward(Step):
    """A head with new weights in every step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.Linear(8, 3)(self.net(x).relu())


class HeldByTheOptimizer(Step):
    """Prototypes that the model does not register, but its optimizer holds."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 8))
        self.weights = {"prototypes": nn.Parameter(torch.randn(3, 8))}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(self.net(x), self.weights["prototypes"])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD([*self.parameters(), *self.weights.values()], 0.1)


class Unreturned(Step):
    def configure_optimizers(self) -> Any:
        torch.optim.SGD(self.parameters(), 0.1)


@sick("OPT015", "`linear` has trainable weights of shape [3, 8]", severity="error")
def a_layer_made_in_forward() -> dict:
    return {"model": MadeInForward(nn.Linear(8, 8)), "batch": classes()}


@healthy("OPT015")
def weights_that_the_optimizer_holds() -> dict:
    return {"model": HeldByTheOptimizer(), "batch": classes()}


@healthy("OPT015")
def layers_made_in_the_constructor() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes()}


@sick("OPT017", "returns no optimizer for 2 trainable parameters", severity="warning")
def an_optimizer_that_is_not_returned() -> dict:
    return {"model": Unreturned(nn.Linear(8, 3)), "batch": classes()}


@healthy("OPT017")
def an_optimizer_that_is_returned() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes()}
