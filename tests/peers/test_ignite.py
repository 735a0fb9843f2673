"""Each row of the page on ignite: both sides are built from its text and do the same."""

import functools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peer_rows import SCORES, Check, Row, build, our_rates, read_rows, stop_of

import lightning_tricks as lt

ignite = pytest.importorskip("ignite", reason="ignite is not installed")
from ignite import handlers  # noqa: E402
from ignite.engine import Engine, Events  # noqa: E402

LR, STEPS = 0.1, 30


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=LR)


def rates_of(scheduler: Any) -> list[float]:
    """The rates that a scheduler sets before each of the steps."""
    own = scheduler.optimizer if hasattr(scheduler, "optimizer") else scheduler.schedulers[0].optimizer
    rates: list[float] = []
    trainer = Engine(lambda engine, batch: rates.append(own.param_groups[0]["lr"]))
    trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
    trainer.run([0] * STEPS, max_epochs=1)
    return rates


def same_rates(theirs: Any, ours: Any) -> None:
    steps = STEPS if "Linear" not in type(theirs).__name__ else 10
    assert our_rates(ours, steps, steps, lr=LR) == pytest.approx(rates_of(theirs)[:steps], abs=1e-9)


def starts_after_the_warmup(theirs: Any, ours: None) -> None:
    rates = rates_of(theirs)
    assert rates[0] == 0
    assert rates[4] == pytest.approx(LR)
    assert our_rates(lt.LRSchedule(lambda t: 1.0, warmup="5st"), 6, 6, lr=LR)[5] == pytest.approx(LR)


def same_stop(theirs: Any, ours: Any) -> None:
    seen: list[float] = []
    stops: list[int] = []
    trainer = Engine(lambda engine, batch: None)
    trainer.terminate = lambda: stops.append(len(seen) - 1)  # type: ignore[method-assign]
    handler = handlers.EarlyStopping(theirs.patience, lambda engine: engine.state.metrics["score"], trainer)
    for score in SCORES:
        seen.append(score)
        handler(SimpleNamespace(state=SimpleNamespace(metrics={"score": -score})))  # type: ignore[arg-type]
    assert stop_of(ours) == stops[0]


def both_end_at_nan(theirs: Any, ours: Any) -> None:
    trainer = Engine(lambda engine, batch: math.nan)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, theirs)
    trainer.run([0] * 5, max_epochs=1)
    assert trainer.state.iteration == 1
    assert ours.check_finite


def both_grow_by_a_factor(theirs: Any, ours: Any) -> None:
    assert hasattr(theirs, "lr_suggestion")
    assert ours.mode == "exponential"


CHECKS: dict[str, Check] = {
    "create_lr_scheduler_with_warmup": starts_after_the_warmup,
    "EarlyStopping": same_stop,
    "TerminateOnNan": both_end_at_nan,
    "FastaiLRFinder": both_grow_by_a_factor,
}


def names() -> dict[str, Any]:
    """What the cells of the first column are built from."""
    lr = {"param_name": "lr", "optimizer": optimizer()}
    cyclical = {"start_value": LR, "end_value": 0.0, **lr}
    schedule = handlers.LinearCyclicalScheduler(cycle_size=10, **{**cyclical, "optimizer": optimizer()})
    return {
        "CosineAnnealingScheduler": functools.partial(handlers.CosineAnnealingScheduler, **cyclical),
        "LinearCyclicalScheduler": functools.partial(handlers.LinearCyclicalScheduler, **cyclical),
        "PiecewiseLinear": functools.partial(handlers.PiecewiseLinear, **lr),
        "create_lr_scheduler_with_warmup": handlers.create_lr_scheduler_with_warmup,
        "EarlyStopping": SimpleNamespace,
        "TerminateOnNan": handlers.TerminateOnNan,
        "FastaiLRFinder": handlers.FastaiLRFinder,
        "s": schedule,
        "lr": LR,
    }


@pytest.mark.parametrize("row", read_rows("ignite"), ids=lambda row: row.theirs)
def test_both_sides_of_a_row_agree(row: Row) -> None:
    is_argument = row.ours.startswith("warmup=")
    ours = None if is_argument else build(row.ours)
    CHECKS.get(row.theirs.partition("(")[0], same_rates)(build(row.theirs, **names()), ours)
