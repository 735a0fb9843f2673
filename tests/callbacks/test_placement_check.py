"""PlacementCheck: the doctor with the PLC rules alone."""

from typing import Any

import pytest
from tiny import Net, fit
from torch import nn

from lightning_tricks import PlacementCheck


class Sick(Net):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.8), nn.BatchNorm1d(8), nn.ReLU())

    def configure_optimizers(self) -> Any:
        import torch

        return torch.optim.SGD(self.head.parameters(), 0.1)


def test_it_checks_placement_and_nothing_else() -> None:
    check = PlacementCheck()
    fit(check, net=Sick(), max_epochs=1)
    assert check.report is not None
    assert "PLC001" in {finding.code for finding in check.report.findings}
    assert {code[:3] for code in check.report.checked} == {"DOC", "PLC"}
    assert {finding.code[:3] for finding in check.report.findings} == {"PLC"}


def test_a_place_can_be_left_out() -> None:
    check = PlacementCheck(ignore=["PLC:body.*"])
    fit(check, net=Sick(), max_epochs=1)
    assert check.report is not None
    assert not check.report.findings


def test_it_takes_no_other_family() -> None:
    with pytest.raises(TypeError, match="select"):
        PlacementCheck(select=["OPT"])  # type: ignore[call-arg]
