"""WarmupStableDecay: the closed form at every step, on every clock, and a run that is extended."""

from pathlib import Path
from typing import Any

import pytest
from schedule_family import check_each_step, check_manual_optimization, each_clock
from tiny import BATCHES, fit

from lightning_tricks import WarmupStableDecay


@each_clock
@pytest.mark.parametrize("form", ["warm-up, stable, decay"])
def test_every_step_uses_the_closed_form(form: str, unit: str, tmp_path: Path) -> None:
    check_each_step(form, unit, tmp_path / "automatic")
    check_manual_optimization(form, unit, tmp_path / "manual")


def test_the_warm_up_has_a_clock_of_its_own() -> None:
    steps = 3 * BATCHES
    rates = [lrs[-1] / 0.1 for _, lrs in fit(WarmupStableDecay(1, warmup="4st")).trace]
    ramp, constant = [0, 0.25, 0.5, 0.75], [1.0] * (2 * BATCHES - 4)
    assert rates == pytest.approx(ramp + constant + [1 - step / BATCHES for step in range(BATCHES)])
    assert len(rates) == steps


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WarmupStableDecay(0), ValueError, "`decay` must be a duration > 0, got 0"),
        (lambda: WarmupStableDecay(total=-1), ValueError, "`total` must be a duration >.* 0, got -1"),
        (lambda: WarmupStableDecay(5, total=4), ValueError, "`decay`=5 must be at most `total`=4"),
        (lambda: WarmupStableDecay("2ep", total="90st"), ValueError, "lengths of one factor must share a clock"),
        (lambda: WarmupStableDecay(form="square"), ValueError, "`form` must be .*got 'square'"),
        (lambda: WarmupStableDecay(end_factor=2), ValueError, r"`end_factor` must lie in \[0, 1\], got 2"),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
