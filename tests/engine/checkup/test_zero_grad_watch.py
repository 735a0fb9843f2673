"""Zero-grad watch: gradients that pile up under manual optimization are named, those that are meant to are not."""

from typing import Any

import pytest
import torch
from tiny import Net, trainer

from lightning_tricks import Doctor


class Manual(Net):
    """Optimizes by hand, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__(manual=True)
        self.way = way

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        if self.way == "before":
            optimizer.zero_grad()
        if self.way == "to zeros":
            optimizer.zero_grad(set_to_none=False)
        if self.way == "after a foreign loss":  # as the critic's, which the generator's loss goes through
            self.manual_backward(self.loss(batch))
            optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        if self.way != "accumulated" or batch_idx % 2:
            optimizer.step()
            if self.way in ("behind", "accumulated"):
                optimizer.zero_grad()


def codes(way: str) -> set[str]:
    doctor, net = Doctor(), Manual(way)
    trainer(doctor, max_epochs=2, limit_val_batches=0).fit(net)
    assert doctor.report is not None
    assert not any(parameter._backward_hooks for parameter in net.parameters())
    return {finding.code for finding in doctor.report.findings}


@pytest.mark.parametrize("way", ["before", "to zeros", "behind", "accumulated", "after a foreign loss"])
def test_gradients_that_are_zeroed_once_a_step_are_right_wherever_that_is_done(way: str) -> None:
    assert "OPT010" not in codes(way)


def test_gradients_that_are_never_zeroed_are_named_once() -> None:
    doctor = Doctor()
    trainer(doctor, max_epochs=2, limit_val_batches=0, log_every_n_steps=2).fit(Manual("never"))
    assert doctor.report is not None
    found = [finding for finding in doctor.report.findings if finding.code == "OPT010"]
    assert [(finding.where, finding.severity) for finding in found] == [("optimizer 0", "error")]
