"""Run facts: bounded numbers that say of a whole run what a list of all its losses would."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import curve, evaluations

from lightning_tricks.doctor.facts.plain import from_plain, to_plain
from lightning_tricks.doctor.facts.run_facts import (
    EvaluationFact,
    LossCurve,
    RunFacts,
    StepFact,
    observe_evaluation,
    observe_losses,
    observe_step,
)

losses = st.lists(st.floats(0.01, 100), min_size=1, max_size=1500)


@given(losses, st.integers(1, 100))
def test_a_curve_is_that_of_all_losses_however_they_come(given_losses: list[float], at_once: int) -> None:
    found = LossCurve(size=2)
    for i in range(0, len(given_losses), at_once):
        found = observe_losses(found, given_losses[i : i + at_once], lr=0.1)
    assert found.steps == len(given_losses)
    assert len(found.windows) <= 64
    assert {window.steps for window in found.windows[:-1]} <= {found.size}
    start = 0
    for window in found.windows:
        part = given_losses[start : start + window.steps]
        assert window.mean == pytest.approx(statistics.fmean(part))
        assert window.spread == pytest.approx(statistics.pstdev(part), abs=1e-6)
        start += window.steps
    assert list(found.first) == given_losses[:64]


def test_losses_that_are_no_numbers_are_left_out() -> None:
    assert curve([1.0, math.nan, 3.0, math.inf]).first == (1.0, 3.0)


def test_the_start_is_one_loss_without_noise_and_unknown_under_too_much() -> None:
    assert curve([2.0] + [1.0] * 300).start(precision=0.02) == 2.0
    assert curve([2.0, 1.0] * 150).start(precision=0.02) is None
    assert LossCurve().start(precision=0.02) is None


def test_the_recent_loss_is_that_of_the_last_third() -> None:
    assert curve([3.0] * 200 + [1.0] * 100).recent() == pytest.approx(1.0)


def test_first_best_and_last_evaluations_are_kept() -> None:
    vals = [5.0, 4.0, 1.0, *(2.0 + 0.01 * i for i in range(97))]
    kept: tuple[EvaluationFact, ...] = ()
    for evaluation in evaluations(vals, vals):
        kept = observe_evaluation(kept, evaluation)
    assert [evaluation.epoch for evaluation in kept] == [0, 2, *range(70, 100)]


def test_first_and_last_steps_are_kept() -> None:
    kept: tuple[StepFact, ...] = ()
    for i in range(100):
        kept = observe_step(kept, StepFact(i, 1.0, 0.1, 1.0))
    assert [step.step for step in kept] == [0, *range(80, 100)]


def test_facts_go_to_json_and_back() -> None:
    steps = (StepFact(3, math.inf, 0.1, math.nan, {"a.weight": (1e-3, math.nan)}),)
    facts = RunFacts(losses=curve([1.0] * 30), evaluations=evaluations([1.0], [2.0]), steps=steps)
    again = from_plain(RunFacts, to_plain(facts))
    assert to_plain(again) == to_plain(facts)
    assert isinstance(again.steps[0].norm, float)
    assert isinstance(again.steps[0].weights["a.weight"], tuple)
