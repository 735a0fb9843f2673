"""Patients of the rule on logits that are cosines."""

import torch
from patient import Calling, Step, healthy, sick
from torch import Tensor, nn
from torch.nn import functional as F


def classified(classes: int, scale: float | None = None, by_hand: bool = False) -> dict:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        hidden = net.body(x)
        hidden = hidden / hidden.norm(dim=1, keepdim=True) if by_hand else F.normalize(hidden)
        logits = F.linear(hidden, F.normalize(net.prototypes.weight))
        return logits if scale is None else scale * logits

    net = Calling(forward, body=nn.Linear(8, 16), prototypes=nn.Linear(16, classes, bias=False))
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    return {"model": Step(net), "batch": (x, torch.arange(32) % classes)}


@sick("LOS015", "50 classes are cosines in [-1, 1]", "above 2", severity="warning")
def cosines_of_fifty_classes() -> dict:
    return classified(50)


@sick("LOS015", "30 classes")
def cosines_that_are_normalized_by_hand() -> dict:
    return classified(30, by_hand=True)


@healthy("LOS015")
def scaled_cosines() -> dict:
    return classified(50, scale=16.0)


@healthy("LOS015")
def cosines_of_a_few_classes() -> dict:
    return classified(3)
