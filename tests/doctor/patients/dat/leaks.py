"""Patients of the rule on targets among the inputs."""

import torch
from patient import Step, healthy, sick
from torch import Tensor, nn


def table(column: Tensor, rows: int = 64) -> dict:
    """Three columns of noise and one more, and three classes."""
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    return {"model": Step(nn.Linear(4, 3)), "batch": (torch.cat([x, column[:, None]], 1), torch.arange(rows) % 3)}


@sick("DAT019", "column 3 is a linear function of the target", severity="warning")
def classes_in_the_last_column() -> dict:
    return table((torch.arange(64) % 3).float())


@sick("DAT019", "column 3")
def standardized_classes_in_the_last_column() -> dict:
    return table((torch.arange(64) % 3 - 1.0) / 0.82)


@healthy("DAT019")
def a_column_that_resembles_the_classes() -> dict:
    return table((torch.arange(64) % 3) + 0.01 * torch.linspace(-1, 1, 64))


@healthy("DAT019")
def too_few_rows_to_tell() -> dict:
    return table((torch.arange(16) % 3).float(), rows=16)
