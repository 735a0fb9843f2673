"""InverseSqrtDecay: the closed form at every step, on every clock, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock

from lightning_tricks import InverseSqrtDecay


@each_clock
@pytest.mark.parametrize("form", ["inverse sqrt"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: InverseSqrtDecay(0), ValueError, "`k` must be finite and > 0, got 0"),
        (lambda: InverseSqrtDecay(unit="dur"), ValueError, "`unit` must be one of 'ep', 'st', got 'dur'"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
