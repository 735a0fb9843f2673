"""Patients of the rule on losses of more than one number."""

import torch.nn.functional as F
from patient import Step, classes, healthy, sick
from torch import nn


def returning(loss) -> dict:
    return {"model": Step(nn.Linear(8, 3), loss), "batch": classes()}


class Manual(Step):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 3))
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        losses = F.cross_entropy(self(batch[0]), batch[1], reduction="none")
        self.manual_backward(losses.mean())
        return losses.detach()


@sick("LOS013", "16 numbers", severity="error")
def a_loss_for_each_row() -> dict:
    return returning(lambda logits, y: F.cross_entropy(logits, y, reduction="none"))


@sick("LOS013", "48 numbers")
def a_squared_error_for_each_output() -> dict:
    return returning(lambda logits, y: (logits - F.one_hot(y, 3)) ** 2)


@healthy("LOS013")
def one_number() -> dict:
    return returning(F.cross_entropy)


@healthy("LOS013")
def one_number_in_a_vector() -> dict:
    return returning(lambda logits, y: F.cross_entropy(logits, y)[None])


@healthy("LOS013")
def losses_returned_under_manual_optimization() -> dict:
    return {"model": Manual(), "batch": classes()}


class Silent(Step):
    """A step that forgets to return its loss."""

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)


class Skipping(Step):
    def training_step(self, batch, batch_idx):
        return None


@sick("LOS014", "computes `cross_entropy` and does not return it", severity="error")
def a_loss_that_is_not_returned() -> dict:
    return {"model": Silent(nn.Linear(8, 3)), "batch": classes()}


@sick("LOS014", "returns no loss", severity="warning")
def a_step_that_skips_the_batch() -> dict:
    return {"model": Skipping(nn.Linear(8, 3)), "batch": classes()}


@healthy("LOS014")
def a_loss_that_is_returned() -> dict:
    return returning(F.cross_entropy)


@healthy("LOS014")
def nothing_returned_under_manual_optimization() -> dict:
    return {"model": Manual(), "batch": classes()}
