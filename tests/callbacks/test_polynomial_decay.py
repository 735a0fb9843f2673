"""PolynomialDecay: the closed form at every step, on every clock, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock
from tiny import fit

from lightning_tricks import PolynomialDecay


@each_clock
@pytest.mark.parametrize("form", ["polynomial", "polynomial cycle"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PolynomialDecay(power=0), ValueError, "`power` must be finite and > 0, got 0"),
        (lambda: PolynomialDecay(end_factor=2), ValueError, r"`end_factor` must lie in \[0, 1\], got 2"),
        (lambda: PolynomialDecay(cycle=1), TypeError, "`cycle` must be True or False, got 1"),
        (lambda: PolynomialDecay(-3), ValueError, "`decay_steps` must be a duration > 0, got -3"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_share_of_a_run_without_an_end_is_refused_when_it_starts() -> None:
    with pytest.raises(ValueError, match=r"`decay_steps` is a share of the run \(1dur\), but nothing bounds this run"):
        fit(PolynomialDecay(), max_epochs=-1, max_time={"seconds": 1})
