"""In a fit the doctor knows what `diagnose` cannot: how long the run is, and which rates callbacks rise to."""

from pathlib import Path
from typing import Any

import pytest
import torch
from doctor_inputs import lit, loader, net
from tiny import trainer

from lightning_tricks import CosineDecay, Doctor
from lightning_tricks.doctor.judging.report import Report


def scheduled(total_steps: int) -> Any:
    def make(params: Any) -> Any:
        adam = torch.optim.Adam(params, 1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-2, total_steps=total_steps)
        return [adam], [{"scheduler": schedule, "interval": "step"}]

    return make


def fit(tuning: Any, *others: Any, **arguments: Any) -> Report:
    doctor = Doctor(**arguments)
    trainer(doctor, *others, max_epochs=2).fit(lit(net(), tuning=tuning), loader())
    assert doctor.report is not None
    return doctor.report


@pytest.mark.parametrize(("steps", "found"), [(8, set()), (80, {"OPT012"})])
def test_a_schedule_is_held_against_the_length_of_the_run(steps: int, found: set[str]) -> None:
    report = fit(scheduled(steps), select=["OPT"])
    assert {finding.code for finding in report.at_least("warning")} == found
    assert not any("OPT012" in note for note in report.notes)


@pytest.mark.parametrize(("lr", "found"), [(1e-3, set()), (0.9, {"OPT001"})])
def test_a_rate_is_judged_by_what_a_warm_up_rises_to(lr: float, found: set[str]) -> None:
    report = fit(lambda params: torch.optim.Adam(params, lr), CosineDecay(warmup=4), select=["OPT001"])
    assert {finding.code for finding in report.at_least("warning")} == found


def test_the_callback_takes_over_what_the_project_says() -> None:
    Path("pyproject.toml").write_text("[tool.lightning-tricks.doctor]\nignore = ['OPT001']\n")
    assert not fit(lambda params: torch.optim.Adam(params, 0.9), select=["OPT001"]).findings
