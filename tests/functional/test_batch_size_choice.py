"""Batch size choice: rates by the rules of the papers, and the smallest size that is as good as the best."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tricks.functional.batch_size_choice import (
    choose_batch_size,
    plan_validation,
    scaled_lr,
    trial_batch_sizes,
)

scores = st.dictionaries(st.integers(1, 4096), st.floats(-5, 5), min_size=1, max_size=8)


def test_eight_times_the_rows_have_eight_times_the_rate_its_square_root_or_the_same() -> None:
    rates = [scaled_lr(0.1, 256, 2048, rule) for rule in ("linear", "sqrt", "none")]
    assert rates == pytest.approx([0.8, 0.1 * math.sqrt(8), 0.1])
    assert scaled_lr(0.1, 64, 64, "linear") == 0.1


@given(st.integers(1, 100_000), st.data())
def test_sizes_for_a_trial_are_rising_fit_the_data_and_include_the_loaders_own(rows: int, data: Any) -> None:
    own = data.draw(st.integers(1, rows))
    sizes = trial_batch_sizes(rows, own)
    assert sizes == sorted(set(sizes))
    assert own in sizes
    assert max(sizes) <= rows
    assert set(sizes) - {own, rows} <= {16, 32, 64, 128, 256, 512}
    assert (rows in sizes) or rows >= 2000


@given(scores, st.floats(0, 0.5))
def test_the_choice_is_the_smallest_size_within_the_tolerance_of_the_best_improvement(
    found: dict[int, float], tolerance: float
) -> None:
    size, _ = choose_batch_size(5.0, found, tolerance=tolerance)
    gains = {size: 5.0 - score for size, score in found.items()}
    best = max(gains.values())
    if best <= 0:
        assert size is None
    else:
        assert size == min(each for each, gain in gains.items() if gain >= (1 - tolerance) * best)
    turned = {size: -score for size, score in found.items()}
    assert choose_batch_size(-5.0, turned, mode="max", tolerance=tolerance).size == size


@pytest.mark.parametrize(
    ("start", "found", "reason"),
    [
        (1.0, {16: math.nan, 32: math.inf}, "training does not end with a finite `val_loss` at any size"),
        (1.0, {16: 1.0, 32: 1.0}, "is 1 before training and at every size after it"),
        (1.0, {16: 1.5, 32: 1.0}, "does not improve on 1 at any size"),
    ],
)
def test_without_an_improvement_there_is_no_size_but_a_reason(
    start: float, found: dict[int, float], reason: str
) -> None:
    size, given_reason = choose_batch_size(start, found)
    assert size is None
    assert reason in given_reason


def test_the_reason_tells_how_close_the_choice_is_and_when_it_is_at_an_end_of_the_range() -> None:
    assert "99% of the best improvement (to 0.3 at 128)" in choose_batch_size(2.3, {32: 1, 64: 0.32, 128: 0.3}).reason
    assert choose_batch_size(2.3, {32: 0.3, 64: 0.4}).reason.endswith("it is the smallest size that was tried")
    assert choose_batch_size(2.3, {32: 0.9, 64: 0.4}).reason.endswith("it is the largest size that trained")


@given(st.floats(0.01, 100), st.floats(0, 1), st.floats(0, 1), st.integers(1, 1000))
def test_validations_stay_within_their_time_where_one_batch_fits(
    seconds: float, startup: float, per_batch: float, batches: int
) -> None:
    points, used = plan_validation(seconds, startup, per_batch, batches)
    assert 1 <= points <= 8
    assert 1 <= used <= batches
    if startup + per_batch <= seconds / 2:
        assert points * (startup + per_batch * used) <= seconds * 1.001


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaled_lr(0.0, 1, 1), "`lr`"),
        (lambda: scaled_lr(0.1, 0, 1), "`batch_size`"),
        (lambda: scaled_lr(0.1, 1, 1, "cubic"), "`rule`"),  # type: ignore[arg-type]
        (lambda: choose_batch_size(math.nan, {16: 1.0}), "`start`"),
        (lambda: choose_batch_size(1.0, {16: 1.0}, tolerance=1.0), "`tolerance`"),
        (lambda: choose_batch_size(1.0, {16: 1.0}, mode="best"), "`mode`"),  # type: ignore[arg-type]
        (lambda: trial_batch_sizes(0, 16), "`num_samples`"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
