"""ExponentialDecay: the closed form at every step, on every clock, and what it refuses."""

import math
from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock

from lightning_tricks import ExponentialDecay


@each_clock
@pytest.mark.parametrize("form", ["exponential", "staircase"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ExponentialDecay(0), ValueError, "`decay_rate` must be finite and > 0, got 0"),
        (lambda: ExponentialDecay(-0.1), ValueError, "`decay_rate` must be finite and > 0, got -0.1"),
        (lambda: ExponentialDecay(math.nan), ValueError, "`decay_rate` must be finite and > 0, got nan"),
        (lambda: ExponentialDecay("0.9"), TypeError, "`decay_rate` must be a number, got '0.9'"),
        (lambda: ExponentialDecay(decay_steps=0), ValueError, "`decay_steps` must be a duration > 0, got 0"),
        (lambda: ExponentialDecay(decay_steps="0st"), ValueError, "`decay_steps` must be a duration > 0, got '0st'"),
        (lambda: ExponentialDecay(staircase="no"), TypeError, "`staircase` must be True or False, got 'no'"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
