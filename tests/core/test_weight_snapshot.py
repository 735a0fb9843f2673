"""Snapshots hold parameters and all buffers, and put back exactly those."""

import pytest
import torch
from torch import nn

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
    snapshot.put_back_(model)
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
    second.put_back_(model)
    assert not torch.equal(first.lend()["hidden"], model.hidden)


def test_memory_is_used_again_unless_it_was_lent() -> None:
    model, snapshot = Model(), WeightSnapshot()
    snapshot.take(model)
    place = snapshot._tensors["hidden"].data_ptr()
    snapshot.take(model)
    assert snapshot._tensors["hidden"].data_ptr() == place
    lent = snapshot.lend()
    scramble(model)
    snapshot.take(model)
    assert torch.equal(lent["hidden"], torch.zeros(2))
    assert torch.equal(snapshot.lend()["hidden"], torch.ones(2))


def test_a_snapshot_taken_in_inference_mode_can_be_taken_again_and_put_back_outside() -> None:
    model, snapshot = Model(), WeightSnapshot()
    with torch.inference_mode():
        snapshot.take(model)
    snapshot.take(model)
    snapshot.put_back_(model)
    model.first(torch.zeros(1, 3)).sum().backward()
    assert not any(tensor.is_inference() for tensor in snapshot.lend().values())


def test_a_model_that_was_rebuilt_is_refused_with_the_name_and_both_shapes() -> None:
    model, snapshot = Model(), WeightSnapshot()
    snapshot.take(model)
    model.norm = nn.BatchNorm1d(5)
    with pytest.raises(ValueError, match=r"`norm.weight` has the shape \(5,\), its copy has the shape \(3,\)"):
        snapshot.put_back_(model)
    model.norm, model.extra = nn.BatchNorm1d(3), nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"`extra.weight` has the shape .* does not exist"):
        snapshot.put_back_(model)


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
