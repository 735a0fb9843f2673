"""Batch entries: the input is found and replaced in any container, which keeps its type."""

from collections import UserDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_tricks.functional.batch_entries import (
    check_key,
    entries_after,
    find_entry,
    find_input,
    named_entry,
    read_entry,
    replace_entry,
    spell,
)

Pair = namedtuple("Pair", ["ids", "x"])
X, IDS = torch.ones(2, 3), torch.tensor([1, 2])


@dataclass(frozen=True)
class Rows:
    """A batch as a dataclass."""

    ids: torch.Tensor
    x: torch.Tensor


PAIR = (IDS, X)


@pytest.mark.parametrize(
    ("batch", "path"),
    [
        (PAIR, (1,)),
        (list(PAIR), (1,)),
        ({"ids": IDS, "x": X}, ("x",)),
        (UserDict(ids=IDS, x=X), ("x",)),
        (Pair(IDS, X), (1,)),
        (Rows(IDS, X), ("x",)),
        (X, ()),
        ([PAIR, PAIR], (0, 1)),
        ({"one": PAIR, "other": PAIR}, ("one", 1)),
        ({0: {"ids": IDS, "x": X}}, (0, "x")),
        ((Rows(IDS, X), IDS), (0, "x")),
        ({"meta": {"scale": 2 * X}, "image": X}, ("image",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_first_floating_tensor_is_found_and_replaced_in_containers_of_the_same_type(batch: Any, path: Any) -> None:
    assert find_input(batch, None) == path
    changed = replace_entry(batch, path, 2 * X)
    for depth in range(len(path)):
        assert type(read_entry(changed, path[:depth])) is type(read_entry(batch, path[:depth]))
    assert torch.equal(read_entry(changed, path), 2 * X)
    assert read_entry(batch, path) is X
    if path and path[-1] != "image":
        ids = (*path[:-1], "ids" if path[-1] == "x" else 0)
        assert read_entry(changed, ids) is read_entry(batch, ids) is IDS


def test_an_entry_may_be_named_or_be_an_attribute() -> None:
    assert find_input(PAIR, 1) == (1,)
    batch = SimpleNamespace(x=X)
    assert find_input(batch, "x") == ("x",)
    assert torch.equal(replace_entry(batch, ("x",), 2 * X).x, 2 * X)
    assert batch.x is X
    assert torch.equal(replace_entry((IDS, X), (-1,), 2 * X)[1], 2 * X)


@pytest.mark.parametrize(
    ("batch", "key", "path"),
    [
        ({"one": PAIR}, "one.1", ("one", 1)),
        ({"one": PAIR}, "one.-1", ("one", -1)),
        ([PAIR, PAIR], "1.1", (1, 1)),
        ({"a": {"b": {"0": X}}}, "a.b.0", ("a", "b", "0")),
        ({"a.b": X, "a": {"b": IDS}}, "a.b", ("a.b",)),
        (SimpleNamespace(one=SimpleNamespace(x=X)), "one.x", ("one", "x")),
    ],
)
def test_dots_lead_into_an_entry_unless_they_belong_to_its_name(batch: Any, key: str, path: Any) -> None:
    assert find_input(batch, key) == path
    assert torch.equal(read_entry(replace_entry(batch, path, 2 * X), path), 2 * X)
    assert read_entry(batch, path) is X


def test_the_key_of_a_message_can_be_given_to_the_callback() -> None:
    assert [spell(path) for path in ((1,), ("x",), ("one", 1))] == [1, "x", "one.1"]
    assert find_input({"one": PAIR}, spell(("one", 1))) == ("one", 1)


def test_a_batch_without_the_input_is_no_error() -> None:
    """`CombinedLoader` in mode `max_size` has `None` for a loader that has ended."""
    rest = {"one": None, "other": PAIR}
    assert find_input(rest, "one.1") is None
    assert find_input(rest, None, earlier=("one", 1)) is None
    assert find_entry({"mask": None}, "mask") is named_entry({"mask": None}, "mask") is named_entry(PAIR, None) is None
    assert named_entry({"mask": X}, "mask") is X


def test_a_batch_of_another_form_is_searched_anew() -> None:
    assert find_input(PAIR, None, earlier=("one", 1)) == (1,)
    assert find_input((X, X), None, earlier=(1,)) == (1,)
    assert find_input((X, "a"), None, earlier=(1,)) == (0,)


@pytest.mark.parametrize(
    ("batch", "key", "message"),
    [
        ((IDS, "a"), None, r"no floating-point tensor: it is a tuple of \(2,\) int64, str. Name the input with `key`"),
        (IDS, None, "no floating-point tensor"),
        ({"x": X}, "y", r"`key`='y' names no entry of the batch, a dict of 'x': \(2, 3\) float32"),
        ((X,), 3, "`key`=3 names no entry"),
        ((X, "a"), 1, "`key`=1 is not a tensor"),
        (X, "image", "`key`='image' names no entry"),
        ({"one": PAIR}, "one.7", "`key`='one.7' names no entry of the batch, a dict of 'one': tuple"),
        ({"one": PAIR}, "one.x", "`key`='one.x' names no entry"),
    ],
)
def test_a_missing_input_is_named_with_what_there_is(batch: Any, key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_input(batch, key)


def test_the_entries_after_the_input_are_its_targets() -> None:
    assert entries_after({"id": 0, "x": 1, "y": 2, "z": 3}, ("x",)) == [("y",), ("z",)]
    assert entries_after((0, 1, 2), (-2,)) == [(2,)]
    assert entries_after({"one": PAIR, "other": PAIR}, ("one", 0)) == [("one", 1)]
    assert entries_after(X, ()) == []
    assert entries_after(SimpleNamespace(x=X), ("x",)) == []


@pytest.mark.parametrize(
    ("key", "error"), [(True, TypeError), (0.5, TypeError), (" ", ValueError), (2**40, ValueError)]
)
def test_a_key_is_a_name_or_a_place(key: Any, error: type[Exception]) -> None:
    assert [check_key("key", good) for good in (None, "x", -1)] == [None, "x", -1]
    with pytest.raises(error, match="`key` must"):
        check_key("key", key)
