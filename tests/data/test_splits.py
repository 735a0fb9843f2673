"""Splits: sizes, strata, groups, and the same rows everywhere."""

import random
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tricks import train_val_split


def rows(count: int) -> list[int]:
    return list(range(count))


@given(
    st.lists(st.integers(0, 3), min_size=12, max_size=80),
    st.floats(0.1, 0.3),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_each_class_is_split_in_its_share_and_no_row_is_lost(labels: list[int], val: float, seed: int) -> None:
    train, held_out = train_val_split(rows(len(labels)), val, targets=labels, seed=seed)
    assert sorted([*train, *held_out]) == rows(len(labels))
    counts, taken = Counter(labels), Counter(labels[row] for row in held_out)
    assert all(abs(taken[label] - val * counts[label]) <= 2 for label in counts)
    assert all(taken[label] < counts[label] for label in counts)


def test_without_targets_it_takes_the_share_and_shuffles() -> None:
    train, val = train_val_split(rows(100))
    assert (len(train), len(val)) == (80, 20)
    assert list(val) == sorted(val)
    assert max(b - a for a, b in zip(list(val), list(val)[1:], strict=False)) > 5


def test_it_is_the_same_on_every_machine_and_leaves_the_generators_alone() -> None:
    before = random.getstate(), torch.random.get_rng_state()
    assert list(train_val_split(rows(20))[1]) == [3, 7, 12, 15]
    assert list(train_val_split(rows(20), seed=1)[1]) == [8, 9, 13, 19]
    assert random.getstate() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


@given(st.lists(st.integers(0, 9), min_size=5, max_size=80).filter(lambda g: len(set(g)) > 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_no_group_is_on_both_sides(groups: list[int], seed: int) -> None:
    train, val = train_val_split(rows(len(groups)), groups=[f"patient {g}" for g in groups], seed=seed)
    assert not {groups[row] for row in train} & {groups[row] for row in val}
    assert len(train) > 0
    assert len(val) > 0


def test_groups_meet_the_share_as_closely_as_they_can() -> None:
    groups = torch.arange(200) // 5
    train, val = train_val_split(rows(200), 0.2, groups=groups)
    assert len(val) == 40
    assert len(train) == 160


@pytest.mark.parametrize("val", [0.05, 0.5])
def test_an_unusual_share_is_warned_about_and_used(val: float) -> None:
    with pytest.warns(UserWarning, match=rf"`val={val:g}` is outside \[0.1, 0.3\]"):
        assert len(train_val_split(rows(100), val)[1]) == 100 * val


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"val": 0.0}, ValueError, r"`val` must lie in \(0, 1\), got 0.0"),
        ({"val": 1}, ValueError, r"`val` must lie in \(0, 1\), got 1"),
        ({"targets": [0] * 9}, ValueError, "`targets` must have one entry per row, 10, got 9"),
        ({"groups": [0] * 10}, ValueError, "at least two groups, got 1"),
        ({"groups": [0] * 10, "targets": [0] * 10}, ValueError, "must not be given together"),
        ({"targets": [[0]] * 10}, TypeError, r"one label per row, got \[0\] \(list\) in row 0"),
        ({"targets": [float("nan")] * 10}, TypeError, "one label per row, got nan"),
        ({"dataset": iter([])}, TypeError, "`dataset` must be map-style"),
        ({"dataset": []}, ValueError, "leaves 0 training and 0 validation rows"),
        ({"dataset": [1]}, ValueError, "leaves 1 training and 0 validation rows of 1"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
    ],
)
def test_it_refuses(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"dataset": rows(10), **arguments}
    with pytest.raises(error, match=message):
        train_val_split(given.pop("dataset"), **given)
