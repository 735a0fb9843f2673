"""Trials around a suggestion: which rates, and which was best."""

import math

from lightning_tricks.functional.lr_trials import best_trial, trial_rates


def test_a_higher_rate_is_tried_only_where_a_trial_is_the_whole_training() -> None:
    assert max(trial_rates(0.1, steps=50, budget=300, planned_steps=51)) == 0.1
    assert max(trial_rates(0.1, steps=50, budget=300)) == 0.1
    assert max(trial_rates(0.1, steps=50, budget=300, planned_steps=50)) > 0.1


def test_the_trials_stay_within_the_budget() -> None:
    for steps in (1, 30, 100, 150):
        assert len(trial_rates(0.1, steps, budget=300, planned_steps=50)) * steps <= 300


def test_a_trial_that_diverges_is_lost() -> None:
    assert best_trial([(0.1, math.nan), (0.01, 3.0)]) == 0.01
    assert best_trial([(0.1, math.inf), (0.01, math.inf)]) is None
