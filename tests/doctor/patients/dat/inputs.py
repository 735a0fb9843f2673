"""Patients of the rules on what is in the batch."""

import torch
from patient import Step, classes, healthy, sick
from torch import nn


def holed() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = classes()
    x[3, 2] = float("nan")
    return x, y


@sick("DAT006", "Tensor 0 has 1 NaN or Inf of 128", severity="error")
def one_hole() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": holed()}


class Masked(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.nan_to_num())


@sick("DAT006", severity="warning")
def hole_that_the_model_masks() -> dict:
    return {"model": Step(Masked(8, 3)), "batch": holed()}


@healthy("DAT006")
def finite() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes()}
