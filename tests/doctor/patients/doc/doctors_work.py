"""Patients that cannot be looked at."""

from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from patient import Step, classes, healthy, sick
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@sick("DOC001", "`training_step` raised RuntimeError: mat1 and mat2", "patient.py:", "in forward", severity="error")
def wrong_width() -> dict:
    return {"model": Step(nn.Linear(7, 3)), "batch": classes()}


@sick("DOC001", "IndexError", "ids are in [1, 10], but the table has 10 rows, 0 to 9", severity="error")
def ids_beyond_the_table() -> dict:
    return {"model": nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), "batch": torch.arange(1, 11)[None]}


@sick("DOC001", "`forward` raised", severity="error")
def too_few_inputs() -> dict:
    return {"model": nn.Bilinear(8, 8, 1), "batch": torch.ones(3, 8)}


@sick("DOC001", "the training loader raised StopIteration: it has no batch", severity="error")
def empty_loader() -> dict:
    loader = DataLoader(TensorDataset(torch.zeros(0, 8), torch.zeros(0)))
    return {"model": Step(nn.Linear(8, 3)), "train_dataloaders": loader}


@sick("DOC001", "the backward pass raised", severity="error")
def backward_that_fails() -> dict:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x.clone()

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            raise ValueError("no way back")

    return {"model": Step(nn.Linear(8, 3), lambda out, y: Broken.apply(out).mean()), "batch": classes()}


@healthy("DOC001")
def right_width() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "batch": classes()}


class IgnoresWhatIsNot(nn.Module):  # lt: ignore[PLC999]
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class IgnoresWhatIs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.9)  # lt: ignore[PLC005, LOS, dropout-on-output]


@sick("DOC002", "IgnoresWhatIsNot", "PLC999", severity="warning")
def a_comment_about_a_rule_that_is_not() -> dict:
    return {"model": IgnoresWhatIsNot()}


@healthy("DOC002")
def comments_about_rules_that_are() -> dict:
    return {"model": IgnoresWhatIs()}


class AsksForKinds(Step):
    """Optimizes by hand, and makes sure of what it is handed."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


@healthy("DOC001")
def optimizers_of_the_kind_that_lightning_hands_out() -> dict:
    model = AsksForKinds(nn.Linear(8, 3))
    model.automatic_optimization = False
    return {"model": model, "batch": classes()}
