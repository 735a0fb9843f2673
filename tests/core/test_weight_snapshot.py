"""Snapshots hold parameters and all buffers, and restored exactly those."""

import pytest
import torch
from layouts import EXOTIC, dense
from simulated_device import DEVICE, OTHER, simulated
from torch import nn
from torch.nn.utils import prune

from lightning_tricks.core.tensor_copies import bit_sums, changed_names, overwrite_
from lightning_tricks.core.weight_snapshot import WeightSnapshot, is_sharded, named_tensors


class Model(nn.Module):
    """A tied weight, a BatchNorm, a buffer that no state_dict has, and strides of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)
        self.image = nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last)
        self.register_buffer("hidden", torch.zeros(2), persistent=False)


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named_tensors(module)}


def scramble(module: nn.Module) -> None:
    with torch.no_grad():
        for _, tensor in named_tensors(module):
            tensor.add_(1)


@pytest.mark.parametrize("on_host", [True, False])
def test_put_back_restores_every_tensor_in_place(on_host: bool) -> None:
    model, snapshot = Model(), WeightSnapshot(on_host=on_host)
    before, places = values(model), [tensor.data_ptr() for _, tensor in named_tensors(model)]
    snapshot.take(model)
    scramble(model)
    snapshot.restore_(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(model))
    assert [tensor.data_ptr() for _, tensor in named_tensors(model)] == places
    assert "hidden" in before
    assert "second.weight" not in before


def test_a_copy_of_a_copy_is_independent_of_it() -> None:
    model, first, second = Model(), WeightSnapshot(on_host=False), WeightSnapshot()
    first.take(model)
    second.take(first)
    scramble(model)
    first.take(model)
    second.restore_(model)
    assert not torch.equal(first.named_copies()["hidden"], model.hidden)


def test_memory_is_used_again_unless_it_was_lent() -> None:
    model, snapshot = Model(), WeightSnapshot()
    snapshot.take(model)
    place = snapshot._tensors["hidden"].data_ptr()
    snapshot.take(model)
    assert snapshot._tensors["hidden"].data_ptr() == place
    lent = snapshot.named_copies()
    scramble(model)
    snapshot.take(model)
    assert torch.equal(lent["hidden"], torch.zeros(2))
    assert torch.equal(snapshot.named_copies()["hidden"], torch.ones(2))


def test_a_snapshot_taken_in_inference_mode_can_be_taken_again_and_put_back_outside() -> None:
    model, snapshot = Model(), WeightSnapshot()
    with torch.inference_mode():
        snapshot.take(model)
    snapshot.take(model)
    snapshot.restore_(model)
    model.first(torch.zeros(1, 3)).sum().backward()
    assert not any(tensor.is_inference() for tensor in snapshot.named_copies().values())


def test_where_a_parameter_does_not_fit_nothing_is_written_and_it_is_named_with_both_shapes() -> None:
    model, snapshot = Model(), WeightSnapshot()
    snapshot.take(model)
    model.norm = nn.BatchNorm1d(5)
    scramble(model)
    before = values(model)
    written, misfits = snapshot.restore_(model)
    assert not written
    assert "`norm.weight` has shape (5,), but its copy has shape (3,)" in misfits
    assert all(torch.equal(tensor, before[name]) for name, tensor in named_tensors(model))


@pytest.mark.parametrize("change", ["new", "gone", "tied"])
def test_a_parameter_that_came_went_or_was_tied_is_named(change: str) -> None:
    model, snapshot = Model(), WeightSnapshot()
    model.second = nn.Linear(3, 3)
    snapshot.take(model)
    if change == "new":
        model.extra = nn.Linear(1, 1)
    elif change == "gone":
        del model.image
    else:
        model.second.weight = model.first.weight
    expected = {
        "new": ["`extra.weight` is new", "`extra.bias` is new"],
        "gone": ["`image.weight` is gone", "`image.bias` is gone"],
        "tied": ["`second.weight` is gone"],
    }
    written, misfits = snapshot.restore_(model)
    assert not written
    assert sorted(misfits) == sorted(expected[change])


def test_buffers_that_do_not_fit_stay_and_are_named_unless_they_are_caches() -> None:
    model, snapshot = Model(), WeightSnapshot()
    model.register_buffer("history", torch.zeros(2))
    model.register_buffer("old", torch.zeros(2), persistent=False)
    snapshot.take(model)
    before = model.first.weight.clone()
    model.register_buffer("history", torch.ones(3))
    model.register_buffer("hidden", torch.ones(5), persistent=False)
    model.register_buffer("fresh", torch.ones(1), persistent=False)
    del model.old
    with torch.no_grad():
        model.first.weight.add_(1)
    assert snapshot.restore_(model) == (True, ["`history` has shape (3,), but its copy has shape (2,)"])
    assert torch.equal(model.first.weight, before)
    assert (model.history.tolist(), model.hidden.tolist(), model.fresh.tolist()) == ([1] * 3, [1] * 5, [1])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("on_host", [True, False])
@pytest.mark.parametrize("kind", EXOTIC)
def test_a_buffer_of_any_layout_is_copied_and_put_back(kind: str, on_host: bool) -> None:
    model, snapshot = nn.Linear(2, 2), WeightSnapshot(on_host=on_host)
    model.register_buffer("constant", EXOTIC[kind](1.0))
    place = model.constant
    for _ in range(2):
        snapshot.take(model)
    overwrite_(model.constant, EXOTIC[kind](2.0) if kind != "jagged" else model.constant * 2)
    assert not torch.equal(dense(model.constant), dense(EXOTIC[kind](1.0)))
    assert snapshot.restore_(model) == (True, [])
    assert model.constant is place
    assert torch.equal(dense(model.constant), dense(EXOTIC[kind](1.0)))


def test_tensors_without_values_are_left_alone() -> None:
    model, snapshot = (
        nn.ModuleDict({"lazy": nn.LazyLinear(2), "meta": nn.Linear(2, 2, device="meta")}),
        WeightSnapshot(),
    )
    snapshot.take(model)
    assert snapshot.restore_(model) == (True, [])


def test_a_pruned_weight_is_put_back_where_its_mask_has_been_removed_since() -> None:
    model, snapshot = nn.Linear(4, 4), WeightSnapshot()
    prune.l1_unstructured(model, "weight", amount=0.5)
    before = model.weight.detach().clone()
    snapshot.take(model)
    prune.remove(model, "weight")
    with torch.no_grad():
        model.weight.add_(1)
    assert snapshot.restore_(model) == (True, [])
    assert torch.equal(model.weight, before)


def test_adopting_nothing_forgets() -> None:
    snapshot = WeightSnapshot()
    snapshot.take(Model())
    assert snapshot
    snapshot.adopt({})
    assert not snapshot
    assert not is_sharded(Model())


def test_a_copy_to_the_host_is_one_copy_a_tensor() -> None:
    copies = []

    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            copies.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    model, snapshot = Model(), WeightSnapshot()
    snapshot.take(model)
    with Count():
        snapshot.take(model)
    assert copies.count("copy_") == len(values(model))
    assert set(copies) <= {"copy_", "detach"}


@pytest.mark.parametrize("on_host", [True, False])
def test_copies_have_the_strides_and_thereby_the_bit_sums_of_what_they_are_copies_of(on_host: bool) -> None:
    """Also those that are large enough for memory of their own."""
    model, snapshot = Model(), WeightSnapshot(on_host=on_host)
    model.large = nn.Conv2d(64, 64, 3).to(memory_format=torch.channels_last)
    snapshot.take(model)
    copies, now = snapshot.named_copies(), dict(named_tensors(model))
    assert {name: copy.stride() for name, copy in copies.items()} == {name: now[name].stride() for name in copies}
    assert changed_names(bit_sums(copies), bit_sums(now)) == []


def test_a_copy_from_several_devices_has_arrived_from_each_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each device has a queue of its own: an event of one says nothing about a copy from another."""
    with simulated(is_cuda=True) as device:

        class Event:
            def record(self, stream: torch.device = DEVICE) -> None:
                self.stream = stream

            def synchronize(self) -> None:
                device.arrive(self.stream)

        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda place=DEVICE: place)
        model = nn.Sequential(nn.Linear(2, 2).to(DEVICE), nn.Linear(2, 2).to(OTHER))
        snapshot = WeightSnapshot()
        snapshot.take(model)
        assert {source for source, _, _ in device.late} == {DEVICE, OTHER}
        copies = snapshot.named_copies()
        assert not device.late
        assert all(torch.equal(copies[name], value.cpu()) for name, value in model.named_parameters())
