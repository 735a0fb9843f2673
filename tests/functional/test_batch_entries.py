"""Batch entries: the input is found and replaced in any container, which keeps its type."""

from collections import UserDict, namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_tricks.functional.batch_entries import check_key, entries_after, find_input, read_entry, replace_entry

Pair = namedtuple("Pair", ["ids", "x"])
X, IDS = torch.ones(2, 3), torch.tensor([1, 2])


@pytest.mark.parametrize(
    ("batch", "key"),
    [
        ((IDS, X), 1),
        ([IDS, X], 1),
        ({"ids": IDS, "x": X}, "x"),
        (UserDict(ids=IDS, x=X), "x"),
        (Pair(IDS, X), 1),
        (X, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_first_floating_tensor_is_found_and_replaced_in_a_container_of_the_same_type(batch: Any, key: Any) -> None:
    assert find_input(batch, None) == key
    changed = replace_entry(batch, key, 2 * X)
    assert type(changed) is type(batch)
    assert torch.equal(read_entry(changed, key), 2 * X)
    assert read_entry(batch, key) is X
    if key is not None:
        first = next(iter(batch)) if isinstance(batch, (dict, UserDict)) else 0
        assert read_entry(changed, first) is IDS


def test_an_entry_may_be_named_or_be_an_attribute() -> None:
    assert find_input((IDS, X), 0) == 0
    batch = SimpleNamespace(x=X)
    assert find_input(batch, "x") == "x"
    assert torch.equal(replace_entry(batch, "x", 2 * X).x, 2 * X)
    assert batch.x is X
    assert torch.equal(replace_entry((IDS, X), -1, 2 * X)[1], 2 * X)


@pytest.mark.parametrize(
    ("batch", "key", "message"),
    [
        ((IDS, "a"), None, r"no floating-point tensor: it is a tuple of \(2,\) int64, str. Name the input with `key`"),
        (IDS, None, "no floating-point tensor"),
        ({"x": X}, "y", r"`key`='y' names no entry of the batch, a dict of 'x': \(2, 3\) float32"),
        ((X,), 3, "`key`=3 names no entry"),
        ((X, "a"), 1, "`key`=1 is not a tensor"),
        (X, "image", "`key`='image' names no entry"),
    ],
)
def test_a_missing_input_is_named_with_what_there_is(batch: Any, key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_input(batch, key)


def test_the_entries_after_the_input_are_its_targets() -> None:
    assert entries_after({"id": 0, "x": 1, "y": 2, "z": 3}, "x") == ["y", "z"]
    assert entries_after((0, 1, 2), -2) == [2]
    assert entries_after(X, None) == []


@pytest.mark.parametrize(
    ("key", "error"), [(True, TypeError), (0.5, TypeError), (" ", ValueError), (2**40, ValueError)]
)
def test_a_key_is_a_name_or_a_place(key: Any, error: type[Exception]) -> None:
    assert [check_key("key", good) for good in (None, "x", -1)] == [None, "x", -1]
    with pytest.raises(error, match="`key` must"):
        check_key("key", key)
