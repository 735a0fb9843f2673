"""InverseTimeDecay: the closed form at every step, on every clock, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock

from lightning_tricks import InverseTimeDecay


@each_clock
@pytest.mark.parametrize("form", ["inverse time", "inverse time staircase"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: InverseTimeDecay(-1), ValueError, "`decay_rate` must be finite and >= 0, got -1"),
        (lambda: InverseTimeDecay(decay_steps="1"), ValueError, "`decay_steps` must be a duration.*got '1'"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
