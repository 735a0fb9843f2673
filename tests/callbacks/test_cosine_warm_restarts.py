"""CosineWarmRestarts: the closed form at every step, on every clock, restarts at the peak, and what it refuses."""

import math
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from schedule_family import used
from tiny import BATCHES, Net, fit

from lightning_tricks import CosineWarmRestarts, cosine_decay, linear_warmup
from lightning_tricks.functional.schedules import cosine_warm_restarts


def closed_form(rule: Any, epochs: int, steps: int, unit: str) -> list[float]:
    return [rule(i / steps if unit == "ep" else i) for i in range(epochs * steps)]


UNITS = {
    "epochs": (lambda: CosineWarmRestarts(1.5, t_mult=1.3), "ep", lambda epochs, steps: 1.5),
    "steps": (lambda: CosineWarmRestarts("4st", t_mult=1.3), "st", lambda epochs, steps: 4),
    "share": (lambda: CosineWarmRestarts("0.3dur", t_mult=1.3), "ep", lambda epochs, steps: 0.3 * epochs),
}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("accumulation", [1, 3, 4])
@pytest.mark.parametrize("unit", UNITS)
def test_every_step_uses_the_closed_form(unit: str, accumulation: int, resume: bool, tmp_path: Path) -> None:
    make, clock, length = UNITS[unit]
    arguments: dict[str, Any] = {"accumulate_grad_batches": accumulation, "max_epochs": 4}
    steps = math.ceil(BATCHES / accumulation)
    expected = closed_form(cosine_warm_restarts(length(4, steps), 1.3), 4, steps, clock)
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    net = fit(make(), *([saver] if resume else []), **arguments)
    assert used(net) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert used(net, group=0) == pytest.approx([x / 10 for x in expected], rel=1e-12, abs=1e-15)  # the ratio survives
    if resume:
        middle = next(path for path in tmp_path.glob("*.ckpt") if path.stem == f"step={steps + 1}")
        rest = fit(make(), ckpt_path=middle, **arguments)
        assert used(rest) == pytest.approx(expected[steps + 1 :], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("unit", UNITS)
def test_manual_optimization_follows_batches_in_epochs_and_each_optimizers_own_count_in_steps(unit: str) -> None:
    make, clock, length = UNITS[unit]
    net = fit(make(), net=Net(manual=True), max_epochs=4)
    rule = cosine_warm_restarts(length(4, BATCHES), 1.3)
    batches = [batch for batch in range(4 * BATCHES) if batch % BATCHES % 2]  # the head steps on every second batch
    of_head = [rule(batch / BATCHES) for batch in batches] if clock == "ep" else [rule(i) for i in range(len(batches))]
    of_body = closed_form(rule, 4, BATCHES, clock)
    assert used(net, optimizer=1) == pytest.approx(of_head, rel=1e-12, abs=1e-15)
    assert [10 * lr for lr in used(net, optimizer=0)] == pytest.approx(of_body, rel=1e-12, abs=1e-15)


def test_warmup_in_each_cycle_begins_anew_at_each_restart() -> None:
    net = fit(CosineWarmRestarts(1, warmup=0.5, warmup_each_cycle=True))
    cycle = [cosine_decay(1)(i / 6) * linear_warmup(0.5)(i / 6) for i in range(6)]
    assert used(net) == pytest.approx(cycle * 3, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CosineWarmRestarts("ten"), ValueError, "`t_0` must be a duration.*got 'ten'"),
        (lambda: CosineWarmRestarts(t_mult=0), ValueError, "`t_mult` must be finite and > 0, got 0"),
        (lambda: CosineWarmRestarts(peak_decay=1.1), ValueError, r"`peak_decay` must lie in \(0, 1\], got 1.1"),
        (lambda: CosineWarmRestarts(warmup_each_cycle="no"), TypeError, "`warmup_each_cycle` must be True or False"),
        (
            lambda: CosineWarmRestarts(10, warmup="100st", warmup_each_cycle=True),
            ValueError,
            r"must share a clock, got `t_0`=10 \(in ep\), `warmup`='100st' \(in st\)",
        ),
    ],
)
def test_a_wrong_argument_is_refused_at_construction(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
