"""Thresholds learnt from norms, against the papers' recurrences written out."""

import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tricks.functional.clip_thresholds import (
    empty_history,
    empty_statistics,
    observe_percentile,
    observe_zscore,
    outlier_level,
    resize_history,
)

NORMS = st.lists(st.one_of(st.floats(0, 1e6, width=32), st.sampled_from([math.nan, math.inf])), min_size=1, max_size=60)


@given(norms=NORMS, window=st.integers(1, 20), percentile=st.floats(0, 100))
@settings(max_examples=150, deadline=None)
def test_percentile_threshold_equals_numpys_over_the_last_finite_norms(
    norms: list[float], window: int, percentile: float
) -> None:
    history, seen = empty_history(window), []
    for norm in norms:
        history, threshold = observe_percentile(history, torch.tensor(norm), percentile)
        if math.isfinite(norm):
            seen.append(norm)
        expected = numpy.percentile(seen[-window:], percentile) if seen else math.inf
        assert float(threshold) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert int(history.seen) == len(seen)


def zclip(norms: list[float], z: float, alpha: float, warmup: int) -> list[float]:
    """Kumar et al. 2025, algorithm 1 as published: lists and floats."""
    thresholds, collected, mean, variance = [], [], 0.0, 0.0
    for norm in norms:
        threshold = math.inf
        if not math.isfinite(norm):
            thresholds.append(threshold)
            continue
        if len(collected) < warmup:
            collected.append(norm)
            if len(collected) == warmup:
                mean = sum(collected) / warmup
                variance = sum((x - mean) ** 2 for x in collected) / warmup
        else:
            score = (norm - mean) / (variance**0.5 + 1e-6)
            if score > z:
                threshold = mean + z * variance**0.5 / (score / z)
            clipped = min(norm, threshold)
            mean = alpha * mean + (1 - alpha) * clipped
            variance = alpha * variance + (1 - alpha) * (clipped - mean) ** 2
        thresholds.append(threshold)
    return thresholds


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("z", "alpha", "warmup"), [(2.5, 0.97, 25), (1.0, 0.5, 1), (3.0, 0.0, 4)])
def test_zscore_threshold_equals_the_papers_recurrence(seed: int, z: float, alpha: float, warmup: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    norms = torch.randn(200, generator=generator, dtype=torch.float64).exp()
    norms[torch.randint(200, (12,), generator=generator)] *= 50
    norms[torch.randint(200, (6,), generator=generator)] = math.nan
    norms[torch.randint(200, (3,), generator=generator)] = math.inf
    statistics, found = empty_statistics(), []
    for norm in norms:
        statistics, threshold = observe_zscore(statistics, norm, z, alpha, warmup)
        found.append(float(threshold))
    expected = zclip(norms.tolist(), z, alpha, warmup)
    assert sum(map(math.isfinite, expected)) > 5
    assert found == pytest.approx(expected, rel=1e-6)


def test_norms_that_are_not_finite_leave_the_state_as_it_is() -> None:
    history, _ = observe_percentile(empty_history(4), torch.tensor(3.0), 50)
    statistics, _ = observe_zscore(empty_statistics(), torch.tensor(3.0))
    for bad in (math.nan, math.inf):
        after, threshold = observe_percentile(history, torch.tensor(bad), 50)
        assert all(torch.equal(a, b) for a, b in zip(vars(history).values(), vars(after).values(), strict=True))
        assert float(threshold) == 3.0
        later, threshold = observe_zscore(statistics, torch.tensor(bad))
        assert all(torch.equal(a, b) for a, b in zip(vars(statistics).values(), vars(later).values(), strict=True))
        assert float(threshold) == math.inf


def test_observing_does_not_change_the_state_that_it_is_given() -> None:
    history = empty_history(2)
    observe_percentile(history, torch.tensor(1.0), 50)
    assert history.norms.tolist() == [math.inf, math.inf]
    assert int(history.seen) == 0


@given(norms=st.lists(st.floats(0, 100, width=32), max_size=30), old=st.integers(1, 10), new=st.integers(1, 10))
@settings(max_examples=60, deadline=None)
def test_a_resized_history_knows_the_latest_norms(norms: list[float], old: int, new: int) -> None:
    history = empty_history(old)
    for norm in norms:
        history, _ = observe_percentile(history, torch.tensor(norm), 50)
    resized = resize_history(history, new)
    kept = norms[-min(old, new) :]
    assert sorted(resized.norms[resized.norms.isfinite()].tolist()) == sorted(kept)
    for norm in (7.0, 8.0):
        resized, threshold = observe_percentile(resized, torch.tensor(norm), 25)
        kept = [*kept, norm][-new:]
        assert float(threshold) == pytest.approx(numpy.percentile(kept, 25))


def test_the_level_of_an_outlier_is_where_clipping_starts() -> None:
    statistics = empty_statistics()
    for norm in (1.0, 2.0, 3.0):
        assert float(outlier_level(statistics, 2.0, 3)) == math.inf
        statistics, _ = observe_zscore(statistics, torch.tensor(norm), 2.0, warmup=3)
    level = float(outlier_level(statistics, 2.0, 3))
    for norm, clipped in ((level * 0.999, False), (level * 1.001, True)):
        _, threshold = observe_zscore(statistics, torch.tensor(norm, dtype=torch.float64), 2.0, warmup=3)
        assert (float(threshold) < math.inf) is clipped
