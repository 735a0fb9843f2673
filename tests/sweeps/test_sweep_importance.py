"""Sweep importance: the rank correlations of textbooks, and what they cannot see by themselves."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from lightning_tricks.sweeps.sweep_importance import correlation, importances, ranks
from lightning_tricks.sweeps.sweep_rows import Mode, Row, SweepRows

numbers = st.lists(st.floats(-10, 10), min_size=3, max_size=20)


def swept(values: list, bests: list, mode: Mode = "min") -> SweepRows:
    jobs = enumerate(zip(values, bests, strict=True))
    rows = [Row(i, "completed", {"x": x}, best, 0, diverged=best is None) for i, (x, best) in jobs]
    return SweepRows(Path("sweep"), "val_loss", mode, rows, {}, ["val_loss"])


@given(st.data())
def test_the_correlation_of_ranks_is_spearmans(data: st.DataObject) -> None:
    left = data.draw(numbers)
    right = data.draw(st.lists(st.integers(0, 3), min_size=len(left), max_size=len(left)))
    assert ranks(right) == list(rankdata(right))
    if len(set(left)) > 1 and len(set(right)) > 1:
        assert correlation(ranks(left), ranks(right)) == pytest.approx(spearmanr(left, right).statistic, abs=1e-9)


def test_a_monotone_parameter_has_a_trend_whatever_its_scale() -> None:
    (found,) = importances(swept([1e-5, 1e-3, 0.1, 1.0, 10.0], [5, 4, 3, 2, 1]))
    assert found.trend == pytest.approx(-1)
    assert found.strength == pytest.approx(1)
    assert found.words("min") == "higher is better"
    assert found.words("max") == "lower is better"


def test_a_valley_has_no_trend_but_a_bend() -> None:
    (found,) = importances(swept([1, 2, 3, 4, 5], [9, 4, 1, 4, 9]))
    assert found.trend == pytest.approx(0)
    assert found.bend == pytest.approx(1, abs=0.05)
    assert found.words("min") == "best in the middle"
    assert found.words("max") == "best at the ends"


def test_a_job_that_diverged_counts_as_the_worst() -> None:
    (found,) = importances(swept([1, 2, 3, 4], [0.1, 0.2, 0.3, None]))
    assert found.trend == pytest.approx(1)
    (found,) = importances(swept([1, 2, 3, 4], [0.4, 0.3, 0.2, None], mode="max"))
    assert found.trend == pytest.approx(-1)


def test_texts_are_compared_by_group() -> None:
    (found,) = importances(swept(["a", "a", "b", "b"], [1, 2, 8, 9]))
    assert found.trend is None
    assert found.strength == pytest.approx(0.8**0.5)  # ranks 1 2 | 3 4: between 4, in all 5


def test_nothing_is_said_of_three_jobs_or_of_what_did_not_vary() -> None:
    assert importances(swept([1, 2, 3], [1, 2, 3])) == []
    assert importances(swept([1, 1, 1, 1], [1, 2, 3, 4])) == []
