"""Object memory: whatever is changed in whatever hangs on an object comes back, in place."""

import argparse
import io
import itertools
import multiprocessing
import queue
import random
import threading
import weakref
from array import array
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from layouts import EXOTIC, dense
from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state, seed_random_state
from lightning_tricks.core.tensor_copies import overwrite_


class Holder:
    """A class of the user's own."""

    def __init__(self) -> None:
        self.number = 1
        self.tensor = torch.arange(3.0)
        self.array = np.arange(3.0)
        self.nested = {"list": [1, [2, 3]], "deque": deque([1], maxlen=3), "set": {1}, "tuple": (torch.zeros(2),)}
        self.torch_dice = torch.Generator().manual_seed(1)
        self.numpy_dice = np.random.default_rng(1)
        self.old_dice = np.random.RandomState(1)
        self.dice = random.Random(1)
        self.inner = None


def draw(holder: Holder) -> list[float]:
    return [
        torch.rand((), generator=holder.torch_dice).item(),
        float(holder.numpy_dice.random()),
        float(holder.old_dice.rand()),
        holder.dice.random(),
    ]


def test_everything_that_hangs_on_an_object_comes_back_in_place() -> None:
    one = Holder()
    one.inner = one  # type: ignore[assignment]
    memory = ObjectSnapshot()
    memory.remember(one)
    tensor, inner_list = one.tensor, one.nested["list"][1]  # type: ignore[index]
    for _ in range(2):
        drawn = draw(one)
        one.number, one.new = 2, 3  # type: ignore[attr-defined]
        one.tensor += 1
        one.array += 1
        one.nested["list"][1].append(4)  # type: ignore[index]
        one.nested["deque"].append(2)  # type: ignore[attr-defined]
        one.nested["set"].add(2)  # type: ignore[attr-defined]
        one.nested["tuple"][0].add_(1)  # type: ignore[index]
        one.nested["more"] = 1
        one.tensor = torch.zeros(1)
        memory.restore_()
        assert one.tensor is tensor
        assert one.tensor.tolist() == one.array.tolist() == [0, 1, 2]
        assert one.nested["list"] == [1, [2, 3]]
        assert one.nested["list"][1] is inner_list  # type: ignore[index]
        assert (list(one.nested["deque"]), one.nested["set"]) == ([1], {1})  # type: ignore[call-overload]
        assert one.nested["tuple"][0].tolist() == [0, 0]  # type: ignore[index]
        assert (one.number, hasattr(one, "new"), "more" in one.nested) == (1, False, False)
        assert draw(one) == drawn
        memory.restore_()


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), torch.optim.LBFGS])
def test_a_module_and_its_optimizer_come_back_with_their_lazy_state(make: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LSTM(3, 2))
    optimizer = make(model.parameters())
    memory = ObjectSnapshot()
    memory.remember(model, optimizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(torch.randn(4, 2))[0].pow(2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.param_groups[0]["lr"] = 7.0
    model.eval()
    memory.restore_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert len(optimizer.state) == 0
    assert optimizer.param_groups[0]["lr"] != 7.0
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tensors_of_a_data_set_are_held_but_not_copied() -> None:
    data, module = SimpleNamespace(x=torch.zeros(2), count=[1]), nn.Linear(1, 1)
    owner = Holder()
    owner.inner = data  # type: ignore[assignment]
    memory = ObjectSnapshot()
    memory.remember(owner, tensors=False)
    memory.remember(module)
    owner.tensor.add_(1)
    before = owner.tensor.tolist()
    with torch.no_grad():
        module.weight.add_(1)
    changed = module.weight.item()
    memory.restore_()
    assert owner.tensor.tolist() == before
    assert module.weight.item() == pytest.approx(changed - 1)


class Slots:
    """Attributes in slots, one of which is not set."""

    __slots__ = ("number", "unset", "values")

    def __init__(self) -> None:
        self.number, self.values = 1, [1]


class Counting:
    """A counter that all instances share."""

    count = 0
    names: ClassVar[list[str]] = []


class Key:
    """A key that can be referred to weakly."""


def count(holder: Any) -> None:
    type(holder).count += 1
    type(holder).names.append("a")
    type(holder).late = 3


def fill(holder: Any) -> None:
    holder.number, holder.unset = 2, 3
    holder.values.append(2)


KEY = Key()
KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "slots": (Slots, fill, lambda x: (x.number, x.values, hasattr(x, "unset"))),
    "namespace": (lambda: SimpleNamespace(a=[1]), lambda x: x.a.append(2), lambda x: x.a),
    "thread": (threading.local, lambda x: setattr(x, "a", 2), lambda x: dict(vars(x))),
    "argparse": (lambda: argparse.Namespace(a=1), lambda x: setattr(x, "a", 2), lambda x: x.a),
    "bytearray": (lambda: bytearray(b"ab"), lambda x: x.extend(b"c"), bytes),
    "array": (lambda: array("d", [1.0]), lambda x: x.append(2.0), list),
    "deque": (lambda: deque([1, 2], maxlen=2), lambda x: x.append(3), lambda x: (list(x), x.maxlen)),
    "defaultdict": (lambda: defaultdict(list, a=[1]), lambda x: (x["a"].append(2), x["b"]), dict),
    "ordered": (lambda: OrderedDict(a=1, b=2), lambda x: x.move_to_end("a"), list),
    "counter": (lambda: Counter("aab"), lambda x: x.update("c"), dict),
    "user dict": (lambda: UserDict(a=[1]), lambda x: x["a"].append(1), lambda x: x.data),
    "nested": (lambda: {"a": ([[bytearray(1)]],)}, lambda x: x["a"][0][0][0].append(1), lambda x: len(x["a"][0][0][0])),
    "set": (lambda: {1}, lambda x: x.add(2), set),
    "queue": (lambda: filled(queue.Queue()), lambda x: x.get(), lambda x: list(x.queue)),
    "priority queue": (lambda: filled(queue.PriorityQueue()), lambda x: x.get(), lambda x: list(x.queue)),
    "simple queue": (lambda: filled(queue.SimpleQueue()), lambda x: x.put(x.get()), lambda x: [x.get(), x.get()]),
    "weak keys": (lambda: weakref.WeakKeyDictionary({KEY: 1}), lambda x: x.clear(), dict),
    "weak set": (lambda: weakref.WeakSet([KEY]), lambda x: x.clear(), list),
    "weak reference": (lambda: weakref.ref(KEY), lambda x: setattr(x(), "a", 1), lambda x: vars(x())),
    "bound": (lambda: Own([1]).add, lambda x: x(), lambda x: x.__self__.values),
    "partial": (lambda: partial(list.append, [1]), lambda x: x(2), lambda x: x.args[0]),
    "stream": (lambda: io.StringIO("ab"), lambda x: x.write("cde"), lambda x: (x.getvalue(), x.tell())),
    "shared number": (lambda: multiprocessing.Value("i", 1), lambda x: setattr(x, "value", 2), lambda x: x.value),
    "objects": (lambda: np.array([[1], None], dtype=object), lambda x: x[0].append(2), list),
    "memmap-like": (lambda: np.arange(3.0).view(np.recarray), lambda x: x.fill(7), list),
    "counting": (lambda: SimpleNamespace(it=itertools.count(3)), lambda x: next(x.it), lambda x: next(x.it)),
    "list iterator": (lambda: [iter([1, 2, 3])], lambda x: next(x[0]), lambda x: next(x[0])),
    "class": (Counting, count, lambda x: (x.count, x.names, hasattr(x, "late"))),
}


class Own:
    """A class with a method that changes it."""

    def __init__(self, values: list[int]) -> None:
        self.values = values

    def add(self) -> None:
        self.values.append(2)


def filled(target: Any) -> Any:
    for number in (1, 2):
        target.put(number)
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_state_of_every_kind_comes_back_again_and_again(kind: str) -> None:
    make, change, read = KINDS[kind]
    memory, holder, expected = ObjectSnapshot(), SimpleNamespace(inner=make()), read(make())
    place = holder.inner
    memory.remember(holder)
    assert memory.unrestorable == []
    for _ in range(2):
        change(holder.inner)
        memory.restore_()
        assert holder.inner is place
        assert read(holder.inner) == expected
        memory.restore_()


@pytest.mark.parametrize("kind", EXOTIC)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_of_any_layout_come_back(kind: str) -> None:
    holder, memory = SimpleNamespace(tensor=EXOTIC[kind](1.0)), ObjectSnapshot()
    place = holder.tensor
    memory.remember(holder)
    overwrite_(holder.tensor, EXOTIC[kind](2.0) if kind != "jagged" else holder.tensor * 2)
    memory.restore_()
    assert holder.tensor is place
    assert torch.equal(dense(holder.tensor), dense(EXOTIC[kind](1.0)))


def test_gradients_requirements_and_attributes_of_parameters_come_back() -> None:
    layer, memory = nn.Linear(2, 2), ObjectSnapshot()
    layer.weight.grad, grad = torch.ones(2, 2), None
    grad = layer.weight.grad
    layer.weight.note = [1]  # type: ignore[attr-defined]
    memory.remember(layer)
    layer.weight.grad.zero_()
    layer.weight.note.append(2)  # type: ignore[attr-defined]
    layer.bias.fresh = 1  # type: ignore[attr-defined]
    layer.bias.requires_grad_(False)
    memory.restore_()
    assert layer.weight.grad is grad
    assert grad.tolist() == [[1, 1], [1, 1]]
    assert layer.weight.note == [1]  # type: ignore[attr-defined]
    assert not hasattr(layer.bias, "fresh")
    assert layer.bias.requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda: (number for number in range(3)),
        lambda: map(str, [1, 2]),
        lambda: zip([1], [2], strict=True),
        lambda: itertools.chain([1], [2]),
        lambda: itertools.islice([1, 2], 1),
        lambda: iter(torch.utils.data.DataLoader([1, 2])),
    ],
    ids=["generator", "map", "zip", "chain", "islice", "loader"],
)
def test_what_cannot_be_rewound_is_named_with_its_place(make: Any) -> None:
    memory = ObjectSnapshot()
    memory.remember(SimpleNamespace(parts={"stream": [make()]}))
    assert len(memory.unrestorable) >= 1
    assert memory.unrestorable[0].startswith("`SimpleNamespace.parts['stream'][0]")


def test_a_state_made_in_inference_mode_comes_back() -> None:
    with torch.inference_mode():
        holder = SimpleNamespace(total=torch.ones(2))
        memory = ObjectSnapshot()
        memory.remember(holder)
        holder.total.add_(1)
    memory.restore_()
    assert holder.total.tolist() == [1, 1]


def test_the_global_generators_come_back() -> None:
    restore = remember_random_state()
    first = (random.random(), np.random.rand(), torch.rand(()).item())
    restore()
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == first


def test_random_states_are_remembered_by_a_torch_without_mps_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch 2.4 is."""
    monkeypatch.delattr(torch.mps, "is_available", raising=False)
    restore = remember_random_state()
    first = torch.rand(1)
    restore()
    assert torch.equal(torch.rand(1), first)


class Generators:
    """The generators of a device type with several devices, as `torch.cuda` has them."""

    def __init__(self, initialized: bool) -> None:
        self.states, self.initialized = [torch.tensor(1), torch.tensor(2)], initialized

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return self.initialized

    def get_rng_state_all(self) -> list[torch.Tensor]:
        return list(self.states)

    def set_rng_state_all(self, states: list[torch.Tensor]) -> None:
        self.states = list(states)

    def manual_seed_all(self, seed: int) -> None:
        assert self.initialized, "the seed would be kept for the day on which the device is used"
        self.states = [torch.tensor(seed)] * 2

    manual_seed = set_rng_state = get_rng_state = None  # of one device alone


def test_the_generators_of_all_devices_of_a_type_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeding reaches all of them, so restoring those of the current device alone would change a spread model."""
    monkeypatch.setattr(torch, "cuda", Generators(initialized=True))
    restore = remember_random_state()
    seed_random_state(7)
    assert [int(state) for state in torch.cuda.states] == [7, 7]
    restore()
    assert [int(state) for state in torch.cuda.states] == [1, 2]


def test_seeding_leaves_no_seed_for_a_device_that_is_used_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "cuda", Generators(initialized=False))
    restore = remember_random_state()
    seed_random_state(7)
    drawn = torch.rand(3)
    restore()
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(7)))
    assert [int(state) for state in torch.cuda.states] == [1, 2]
