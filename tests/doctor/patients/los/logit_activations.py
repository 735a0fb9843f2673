"""Patients of the rule on activations before a loss that takes logits."""

import torch
import torch.nn.functional as F
from patient import Step, classes, healthy, sick
from torch import Tensor, nn


def ending(*layers: nn.Module, loss=F.cross_entropy) -> dict:
    return {
        "model": Step(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), *layers), loss),
        "batch": classes(),
    }


def binary(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], (y == 0).float())


class Scaled(nn.Module):
    """Logits that are capped softly: 30 tanh(x / 30)."""

    def forward(self, x: Tensor) -> Tensor:
        return 30 * torch.tanh(x / 30)


class Cosine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(3, 8)), nn.Parameter(torch.tensor(16.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(x), F.normalize(self.weight)).clamp(-1, 1)


class Clamp(nn.Module):
    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-self.bound, self.bound)


@sick("LOS012", "ReLU", "[0, inf)", severity="warning")
def relu_at_the_end() -> dict:
    return ending(nn.ReLU())


@sick("LOS012", "Tanh")
def tanh_at_the_end() -> dict:
    return ending(nn.Tanh())


@sick("LOS012", "Sigmoid")
def sigmoid_before_cross_entropy() -> dict:
    return ending(nn.Sigmoid())


@sick("LOS012", "Softplus", "binary_cross_entropy_with_logits")
def softplus_before_bce() -> dict:
    return ending(nn.Softplus(), loss=binary)


@sick("LOS012", "Clamp net.3")
def clamped_to_one() -> dict:
    return ending(Clamp(1.0))


@healthy("LOS012")
def plain_logits() -> dict:
    return ending()


@healthy("LOS012")
def capped_softly() -> dict:
    return ending(Scaled())


@healthy("LOS012")
def cosine_head() -> dict:
    return {"model": Step(Cosine()), "batch": classes()}


@healthy("LOS012")
def clamped_far_out() -> dict:
    return ending(Clamp(50.0))
