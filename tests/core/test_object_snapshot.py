"""Object memory: whatever is changed in whatever hangs on an object comes back, in place."""

import random
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state


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
        memory.put_back_()
        assert one.tensor is tensor
        assert one.tensor.tolist() == one.array.tolist() == [0, 1, 2]
        assert one.nested["list"] == [1, [2, 3]]
        assert one.nested["list"][1] is inner_list  # type: ignore[index]
        assert (list(one.nested["deque"]), one.nested["set"]) == ([1], {1})  # type: ignore[call-overload]
        assert one.nested["tuple"][0].tolist() == [0, 0]  # type: ignore[index]
        assert (one.number, hasattr(one, "new"), "more" in one.nested) == (1, False, False)
        assert draw(one) == drawn
        memory.put_back_()


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
    memory.put_back_()
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
    memory.put_back_()
    assert owner.tensor.tolist() == before
    assert module.weight.item() == pytest.approx(changed - 1)


def test_a_state_made_in_inference_mode_comes_back() -> None:
    with torch.inference_mode():
        holder = SimpleNamespace(total=torch.ones(2))
        memory = ObjectSnapshot()
        memory.remember(holder)
        holder.total.add_(1)
    memory.put_back_()
    assert holder.total.tolist() == [1, 1]


def test_the_global_generators_come_back() -> None:
    put_back = remember_random_state()
    first = (random.random(), np.random.rand(), torch.rand(()).item())
    put_back()
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == first
