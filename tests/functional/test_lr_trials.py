"""Trials around a suggestion: which rates, and which was best."""

import math

from lightning_tricks.functional.lr_trials import best_trial, score_trial, trial_rates


def test_a_higher_rate_is_tried_only_where_a_trial_is_half_of_the_training() -> None:
    assert max(trial_rates(0.1, steps=50, budget=300, planned_steps=1000)) == 0.1
    assert max(trial_rates(0.1, steps=50, budget=300)) == 0.1
    assert max(trial_rates(0.1, steps=50, budget=300, planned_steps=100)) > 0.1


def test_the_trials_stay_within_the_budget() -> None:
    for steps in (1, 30, 100, 150):
        assert len(trial_rates(0.1, steps, budget=300, planned_steps=50)) * steps <= 300


def test_a_trial_is_judged_by_its_end_and_lost_if_it_diverges() -> None:
    assert score_trial([9.0, 9.0, 2.0]) == 2.0
    assert score_trial([1.0, math.nan, 1.0]) == math.inf
    assert best_trial([(0.1, math.inf), (0.01, math.inf)]) is None
