"""Containers of other people's classes are looked into, moved and rebuilt; what cannot be listed is one value."""

from collections import UserDict, defaultdict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from lightning_tricks.doctor.reading.containers import (
    changeable_tensors_in,
    members_of,
    move,
    tensors_in,
    walk_batch,
    with_tensors_changed,
)

Pair = namedtuple("Pair", "x y")
X = torch.ones(2)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: Tensor
    name: str = "a"


class Graph:
    """Holds tensors in attributes, and moves them in place."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.nodes, self.device = x, len(x), "nowhere"

    def to(self, device: Any) -> None:
        self.device = str(device)


class Keyed:
    """Has keys and items, and is no mapping."""

    def keys(self) -> list[str]:
        return ["x"]

    def __getitem__(self, key: str) -> Tensor:
        return X


class Unlistable(Mapping):
    def __getitem__(self, key: str) -> Tensor:
        return X

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("the entries cannot be listed")


@pytest.mark.parametrize(
    ("batch", "places"),
    [
        ([X, {"y": X}], ["0", "1.y"]),
        (Pair(X, 1), ["x", "y"]),
        (UserDict(x=X), ["x"]),
        (defaultdict(list, x=X), ["x"]),
        (Slotted(X), ["x", "name"]),
        (Graph(X), ["x"]),
        (Keyed(), ["x"]),
        (Unlistable(), [""]),
        (np.ones(3), [""]),
        (nn.ModuleDict({"a": nn.ReLU()}), [""]),
        (X, [""]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_leaves_have_places(batch: Any, places: list[str]) -> None:
    assert [place for place, _ in walk_batch(batch)] == places


def test_what_has_no_tensor_to_change_is_the_same_object() -> None:
    batch = {"name": ["a", 1]}
    assert with_tensors_changed(batch, torch.neg) is batch
    assert move(batch, torch.device("cpu")) is batch


@pytest.mark.parametrize(
    "batch", [(X, [X]), {"x": X}, UserDict(x=X), Pair(X, 1), Slotted(X), Graph(X)], ids=lambda item: type(item).__name__
)
def test_each_container_is_rebuilt_as_what_it_is(batch: Any) -> None:
    changed = with_tensors_changed(batch, torch.neg)
    assert type(changed) is type(batch)
    assert all(torch.equal(tensor, -X) for tensor in tensors_in(changed))
    assert all(torch.equal(tensor, X) for tensor in tensors_in(batch))


def test_a_batch_that_moves_in_place_is_kept() -> None:
    graph = Graph(X)
    assert move([graph], torch.device("meta"))[0] is graph
    assert graph.device == "meta"


def test_tensors_of_containers_are_moved() -> None:
    moved = move({"x": X, "pair": Pair(X, "a"), "slotted": Slotted(X)}, torch.device("meta"))
    assert [str(tensor.device) for tensor in tensors_in(moved)] == ["meta"] * 3
    assert moved["slotted"].name == "a"


def test_packed_sequences_are_seen_and_not_changed() -> None:
    packed = pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    assert len(list(tensors_in(packed))) == 2
    assert changeable_tensors_in([packed, X]) == [X]
    assert with_tensors_changed(packed, torch.neg) is packed


def test_a_module_is_no_container() -> None:
    assert members_of(nn.ModuleDict({"a": nn.ReLU()})) is None
