"""CosineDecay: the closed form at every step, on every clock."""

from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock

from lightning_tricks import CosineDecay


@each_clock
@pytest.mark.parametrize("form", ["cosine"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CosineDecay(0), ValueError, "`decay_steps` must be a duration > 0, got 0"),
        (lambda: CosineDecay(None), TypeError, "`decay_steps` must be a duration.*got None"),
        (lambda: CosineDecay(end_factor=-0.1), ValueError, r"`end_factor` must lie in \[0, 1\], got -0.1"),
        (lambda: CosineDecay(end_factor="0.1"), TypeError, "`end_factor` must be a number, got '0.1'"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
