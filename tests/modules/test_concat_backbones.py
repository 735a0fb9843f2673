"""Concatenated backbones: their features side by side, frozen or not."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_tricks import ConcatBackbones


def conv() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5))


def x(rows: int = 2) -> Tensor:
    return torch.randn(rows, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_features_are_flattened_and_stand_side_by_side() -> None:
    first, second = conv().eval(), nn.Conv2d(1, 2, 2)
    model = ConcatBackbones([first, second], nn.Identity())
    torch.testing.assert_close(model(x()), torch.cat([first(x()), second(x()).flatten(1)], 1))
    other = x(2) + 1
    torch.testing.assert_close(model(x(), other), torch.cat([first(x()), second(other).flatten(1)], 1))


def test_the_output_of_a_layer_is_taken_where_one_is_named() -> None:
    first = conv().eval()
    model = ConcatBackbones([first, conv()], 4, layers=["0", None])
    assert model(x()).shape == (2, 4)
    assert model.head.in_features == 12 + 5
    torch.testing.assert_close(model.features(x())[:, :12], first[0](x()).flatten(1))
    assert not first[0]._forward_hooks


def test_frozen_backbones_get_no_gradient_and_stay_in_eval_mode() -> None:
    model = ConcatBackbones([conv(), conv()], 4).train()
    before = {name: value.clone() for name, value in model.backbones.state_dict().items()}
    model(x()).sum().backward()
    assert all(parameter.grad is None for parameter in model.backbones.parameters())
    assert all(not module.training for module in model.backbones.modules())
    assert model.head.training
    assert model.head.weight.grad is not None
    assert all(torch.equal(value, before[name]) for name, value in model.backbones.state_dict().items())


def test_backbones_that_are_not_frozen_train() -> None:
    model = ConcatBackbones([conv()], 4, freeze=False).train()
    model(x()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.backbones.parameters())
    assert model.backbones[0].training


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backbones": []}, ValueError, "at least one module"),
        ({"backbones": ["net"]}, TypeError, "`backbones` must be modules, got 'net'"),
        ({"backbones": nn.Linear(1, 1)}, TypeError, "`backbones` must be a list"),
        ({"head": 0}, ValueError, "`head` must be at least 1, got 0"),
        ({"head": "linear"}, TypeError, "`head` must be a whole number"),
        ({"layers": ["0", "0"]}, ValueError, "`layers` must have one entry per backbone, 1"),
        ({"layers": ["9"]}, ValueError, "`layer` must name a submodule of Sequential, got '9'; for instance"),
        ({"freeze": 1}, TypeError, "`freeze` must be True or False"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"backbones": [conv()], "head": 4, **arguments}
    with pytest.raises(error, match=message):
        ConcatBackbones(given.pop("backbones"), given.pop("head"), **given)


def test_wrong_inputs_and_outputs_are_named() -> None:
    model = ConcatBackbones([nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)], 4)
    with pytest.raises(ValueError, match="one per backbone, 3; got 2"):
        model(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="the same number of rows"):
        model(torch.zeros(1, 2), torch.zeros(2, 2), torch.zeros(1, 2))
    with pytest.raises(TypeError, match="must be a tensor, got tuple; name an inner layer with `layer`"):
        ConcatBackbones([nn.LSTM(2, 3)], 4)(torch.zeros(1, 2, 2))
