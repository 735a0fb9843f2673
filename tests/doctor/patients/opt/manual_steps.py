"""Patients of the rules on manual steps: gradients that are not zeroed, or zeroed too early."""

from typing import Any

import torch.nn.functional as F
from doctor_inputs import adam, batch, net
from healthy import Lit
from patient import healthy, sick
from runs import ran


@sick("OPT010", "still contained those of the previous step", severity="error")
def gradients_that_pile_up() -> dict:
    return ran(not_zeroed=(0,))


@healthy("OPT010")
def gradients_that_are_zeroed() -> dict:
    return ran()


class ByHand(Lit):
    """Steps by hand; the gradients are zeroed before the backward pass or after it."""

    automatic_optimization = False

    def __init__(self, before: bool) -> None:
        super().__init__(net(), F.cross_entropy, adam)
        self.before = before

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        if self.before:
            optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self.net(batch[0]), batch[1]))
        if not self.before:
            self.zero_grad()
        optimizer.step()


@sick("OPT019", "cleared between manual_backward and step", severity="error")
def gradients_zeroed_after_the_backward_pass() -> dict:
    return {"model": ByHand(before=False), "batch": batch()}


@healthy("OPT019")
def gradients_zeroed_before_the_backward_pass() -> dict:
    return {"model": ByHand(before=True), "batch": batch()}
