"""Plan conflicts: each check finds its combination with both numbers, at any interval, and healthy plans are silent."""

import math
from typing import Any

import pytest

from lightning_tricks.core.durations import RunLength
from lightning_tricks.functional.plan_conflicts import find_conflicts, reductions_left
from lightning_tricks.functional.run_plan import Pace, PatientRule, RatePlan, RateSearch, Span, ThawStages
from lightning_tricks.functional.schedule_shape import cycles_of, fall_end_of
from lightning_tricks.functional.schedules import (
    cosine_decay,
    cosine_warm_restarts,
    exponential_decay,
    inverse_sqrt_decay,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
    product,
    warmup_stable_decay,
)

STEPS = 100
EPOCHS_30 = Pace(RunLength(30, None), STEPS)
STEPS_3000 = Pace(RunLength(None, 3000), STEPS)
STREAM = Pace(RunLength(None, 3000), None)
"""A loader without a length."""
UNBOUNDED = Pace(RunLength(None, None), STEPS)


def rule(action: Any, patience: int, every: float = 1, pace: Pace = EPOCHS_30, **more: Any) -> PatientRule:
    """One that checks every n epochs; under a stream, every n steps."""
    interval = pace.span(every, "st" if pace is STREAM else "ep")
    name = f"`{'EarlyStopping' if action == 'stop' else 'ReduceLROnPlateau'}(patience={patience})`"
    return PatientRule(name, ("val_loss", "min"), patience, action, interval, **{"key": name, **more})


def stop(patience: int, every: float = 1, **more: Any) -> PatientRule:
    return rule("stop", patience, every, **more)


def plateau(patience: int, every: float = 1, **more: Any) -> PatientRule:
    return rule("reduce", patience, every, **more)


def rate(schedule: Any, unit: Any = "ep", warmup: float = 0, pace: Pace = EPOCHS_30) -> RatePlan:
    return RatePlan("S", unit, schedule, pace.span(warmup, unit), cycles_of(schedule), fall_end_of(schedule))


restarts = cosine_warm_restarts
SICK: dict[str, tuple[list[Any], Pace, str]] = {
    "plateau inside a cycle": (
        [plateau(1), rate(restarts(10, end_factor=0.01))],
        EPOCHS_30,
        (
            "`ReduceLROnPlateau(patience=1)` reduces the learning rate after 1 check (1 epoch) without a better score, "
            "but a cycle of `S` lasts 10 epochs (10 checks)"
        ),
    ),
    "plateau inside a cycle, four checks an epoch": (
        [plateau(20, 0.25), rate(restarts(10))],
        EPOCHS_30,
        "after 20 checks (5 epochs) without a better score, but a cycle of `S` lasts 10 epochs (40 checks)",
    ),
    "plateau inside a later cycle": (
        [plateau(10), rate(restarts(2, 2))],
        EPOCHS_30,
        "a cycle of `S` lasts 16 epochs (16 checks)",
    ),
    "plateau inside a cycle, all in steps": (
        [plateau(3, 200, pace=STREAM), rate(restarts(1000), "st", pace=STREAM)],
        STREAM,
        "after 3 checks (600 steps) without a better score, but a cycle of `S` lasts 1000 steps (5 checks)",
    ),
    "plateau in epochs, cycles in steps": (
        [plateau(3, 2), rate(restarts(1000), "st")],
        STEPS_3000,
        "after 3 checks (6 epochs) without a better score, but a cycle of `S` lasts 10 epochs (5 checks)",
    ),
    "plateau inside a cycle of a product": (
        [plateau(2), rate(product(restarts(10), exponential_decay(0.99)))],
        EPOCHS_30,
        "a cycle of `S` lasts 10 epochs",
    ),
    "plateau inside a saw tooth": ([plateau(2), rate(polynomial_decay(10, cycle=True))], EPOCHS_30, "cycle of `S`"),
    "plateau in an unbounded run": ([plateau(2), rate(restarts(10))], UNBOUNDED, "a cycle of `S` lasts 10 epochs"),
    "early stopping inside a cycle": (
        [stop(3), rate(restarts(10))],
        EPOCHS_30,
        "`EarlyStopping(patience=3)` stops the run after 3 checks (3 epochs) without a better score",
    ),
    "warm-up as long as the run": (
        [rate(inverse_sqrt_decay(), warmup=30)],
        EPOCHS_30,
        "The warm-up of `S` lasts 30 epochs, but the run ends after 30 epochs",
    ),
    "warm-up longer than the first cycle": (
        [rate(restarts(2, 2), warmup=5)],
        EPOCHS_30,
        "The warm-up of `S` lasts 5 epochs, longer than its first cycle of 2 epochs",
    ),
    "warm-up longer than the fall": (
        [rate(cosine_decay(10), warmup=12)],
        Pace(RunLength(10, None), STEPS),
        "The warm-up of `S` lasts 12 epochs, but the run ends after 10 epochs",
    ),
    "first cycle longer than the run": (
        [rate(restarts(40))],
        EPOCHS_30,
        "The first cycle of `S` lasts 40 epochs, but the run ends after 30 epochs",
    ),
    "end at a peak": (
        [rate(restarts(14))],
        EPOCHS_30,
        "The run ends after 30 epochs, only 2 epochs after a restart of `S`, at 95% of the peak learning rate",
    ),
    "schedule longer than the run": (
        [rate(cosine_decay(100))],
        EPOCHS_30,
        "`S` ends after 100 epochs, but the run after 30 epochs, at 79% of the highest learning rate",
    ),
    "constant phase longer than the run": (
        [rate(warmup_stable_decay(5000, 1000), "st")],
        STEPS_3000,
        "`S` ends after 50 epochs, but the run after 30 epochs, at 100% of the highest",
    ),
    "one cycle shorter than the run": (
        [rate(one_cycle(10))],
        EPOCHS_30,
        "`S` reduces the learning rate to less than 0.0001 of its peak after about",
    ),
    "restarts that end": (
        [rate(restarts(10, 0.5), warmup=0)],
        Pace(RunLength(60, None)),
        "but the run lasts 60 epochs",
    ),
    "fast exponential": ([rate(exponential_decay(0.5))], EPOCHS_30, "less than 0.0001 of its peak after about 13."),
    "plateau and a schedule to zero": (
        [plateau(5), rate(cosine_decay(30))],
        EPOCHS_30,
        "`ReduceLROnPlateau(patience=5)` and `S` reduce the same learning rate",
    ),
    "early stopping before a decay": (
        [stop(5), rate(cosine_decay(30))],
        EPOCHS_30,
        (
            "`EarlyStopping(patience=5)` can stop the run after 6 epochs (5 checks (5 epochs) without a better score), "
            "but the learning rate of `S` is above half its peak until 14."
        ),
    ),
    "early stopping inside the warm-up": (
        [stop(2), rate(inverse_sqrt_decay(), warmup=5)],
        EPOCHS_30,
        (
            "`EarlyStopping(patience=2)` can stop the run after 3 epochs (2 checks (2 epochs) without a better score), "
            "but the warm-up of `S` lasts 5 epochs"
        ),
    ),
    "plateau inside the warm-up": (
        [plateau(2, 0.1), rate(inverse_sqrt_decay(), warmup=1)],
        EPOCHS_30,
        "can reduce the learning rate after 30 steps (2 checks (20 steps) without a better score)",
    ),
    "plateau inside a stage": (
        [plateau(2), ThawStages("U", Span(5, 500))],
        EPOCHS_30,
        (
            "`ReduceLROnPlateau(patience=2)` reduces the learning rate after 2 checks (2 epochs) without a better "
            "score, but a stage of `U` lasts 5 epochs"
        ),
    ),
    "early stopping inside a stage": (
        [stop(2), ThawStages("U", Span(5, 500))],
        EPOCHS_30,
        "stops the run after 2 checks",
    ),
    "search before a resumed run": (
        [RateSearch("LRFinder", (0,), (), 5)],
        EPOCHS_30,
        "`LRFinder` searches at the start of epoch 0, but this run continues in epoch 5",
    ),
    "early stopping before a reduction": (
        [stop(3), plateau(5)],
        EPOCHS_30,
        "stops before `ReduceLROnPlateau(patience=5)`",
    ),
    "two early stoppings": (
        [stop(3), stop(4, key=None)],
        EPOCHS_30,
        "Lightning's `EarlyStopping(patience=4)` and that",
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_a_combination_that_works_against_the_user_is_described_with_both_numbers(name: str) -> None:
    facts, pace, message = SICK[name]
    (found,) = find_conflicts(facts, pace)
    assert message in found
    assert find_conflicts(facts[:1] if len(facts) > 1 else [], pace) == []


HEALTHY: dict[str, tuple[list[Any], Pace]] = {
    "restarts with patience for a cycle": ([plateau(10), stop(60), rate(restarts(10))], EPOCHS_30),
    "restarts with patience in other checks": ([plateau(40, 0.25), rate(restarts(10))], EPOCHS_30),
    "growing cycles that end with the run": ([stop(16), rate(restarts(2, 2), warmup=0.2)], EPOCHS_30),
    "a last cycle that the run cuts short": ([stop(10), rate(restarts(10, 2))], Pace(RunLength(15, None), STEPS)),
    "a single cycle": ([stop(40), rate(restarts(30))], EPOCHS_30),
    "a cosine with a guard": ([stop(1000), rate(cosine_decay(30), warmup=2)], EPOCHS_30),
    "a cosine with patience": ([stop(14), rate(cosine_decay(30))], EPOCHS_30),
    "a cosine with a later start": ([stop(3, start=Span(15, 1500)), rate(cosine_decay(30))], EPOCHS_30),
    "a cosine to a tenth with a plateau rule": ([plateau(5), rate(cosine_decay(30, 0.1))], EPOCHS_30),
    "a step schedule with a plateau rule": (
        [plateau(5), rate(piecewise_constant([20, 25], [1, 0.1, 0.02]))],
        EPOCHS_30,
    ),
    "a step schedule to a thousandth": ([rate(piecewise_constant([10, 20], [1, 0.1, 0.001]))], EPOCHS_30),
    "an open schedule with early stopping": ([stop(3), rate(inverse_sqrt_decay())], EPOCHS_30),
    "one cycle": ([rate(one_cycle(30))], EPOCHS_30),
    "one cycle in steps": ([rate(one_cycle(3000), "st")], STEPS_3000),
    "a trapezoid": ([rate(warmup_stable_decay(30, 6), warmup=1)], EPOCHS_30),
    "a polynomial": ([rate(polynomial_decay(30, power=2))], EPOCHS_30),
    "a schedule a little longer than the run": ([rate(cosine_decay(32))], EPOCHS_30),
    "an unbounded run with early stopping": ([stop(10), rate(inverse_sqrt_decay(), warmup=1)], UNBOUNDED),
    "a rate that grows without bound": ([stop(3), rate(exponential_decay(1e30))], EPOCHS_30),
    "a rate of zero": ([plateau(20), rate(piecewise_constant([5], [0, 0]))], EPOCHS_30),
    "no schedule": ([plateau(10), stop(60)], EPOCHS_30),
    "stages": ([stop(5), plateau(5, key="other"), ThawStages("U", Span(5, 500))][:1], EPOCHS_30),
    "a search before the run": ([RateSearch("LRFinder", (0, 3), (0,), 0)], EPOCHS_30),
    "a search that a checkpoint brings": ([RateSearch("LRFinder", (0,), (0,), 5)], EPOCHS_30),
    "a search to come": ([RateSearch("LRFinder", (0, 8), (), 5)], EPOCHS_30),
    "lengths on clocks that cannot be compared": (
        [plateau(1, pace=Pace(RunLength(None, 9))), rate(restarts(1000), "st", pace=STREAM)],
        STREAM,
    ),
    "a function of the user's": ([plateau(1), RatePlan("S", "ep")], EPOCHS_30),
    "validation by the wall time": (
        [PatientRule("E", ("val_loss", "min"), 1, "stop", Span()), rate(restarts(10))],
        Pace(RunLength(30, None), STEPS),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_plan_is_silent(name: str) -> None:
    facts, pace = HEALTHY[name]
    assert find_conflicts(facts, pace, keeps_best=True) == []


def test_the_best_weights_answer_a_run_that_ends_at_a_peak() -> None:
    facts = [rate(restarts(14))]
    assert len(find_conflicts(facts, EPOCHS_30)) == 1
    assert find_conflicts(facts, EPOCHS_30, keeps_best=True) == []


def test_a_floor_that_the_run_cannot_reach_is_counted() -> None:
    left = reductions_left(plateau(10, reductions=10), EPOCHS_30)
    assert left is not None
    assert "10 reductions, which take at least 101 checks, but the run ends after 30 epochs: at most 2 of them" in left
    assert reductions_left(plateau(2, reductions=10), EPOCHS_30) is None
    assert reductions_left(plateau(10), EPOCHS_30) is None
    assert reductions_left(plateau(10, reductions=10), UNBOUNDED) is None


def test_spans_compare_on_a_clock_that_both_have() -> None:
    assert Span(1, 100).is_shorter_than(Span(2))
    assert Span(None, 100).is_shorter_than(Span(2, 200))
    assert not Span(2).is_shorter_than(Span(None, 1))
    assert not Span(0.1 * 3).is_shorter_than(Span(0.3))
    assert Span(3).is_shorter_than(Span(math.inf, math.inf))
    assert Span(1, 100).plus(Span(2, 50)) == Span(3, 150)
    assert [str(span) for span in (Span(1), Span(0.5, 50), Span(2.5, 250))] == ["1 epoch", "50 steps", "2.5 epochs"]
