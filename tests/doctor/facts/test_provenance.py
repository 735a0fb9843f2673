"""Dropout is followed to the batch norms on every way that a tensor can take."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from patient import Calling
from torch import nn
from torch.utils.checkpoint import checkpoint

from lightning_tricks.doctor.judging.diagnose import diagnose


def codes(function: Any) -> list[str]:
    parts = {"norm": nn.BatchNorm1d(8), "fc": nn.Linear(8, 8), "drop": nn.Dropout(0.5)}
    model = Calling(function, **parts, frozen=nn.BatchNorm1d(8).eval())
    report = diagnose(model, torch.randn(32, 8), select=["PLC001", "PLC002", "PLC003"])
    assert report.evidence is not None
    assert report.evidence.trace is not None
    assert report.evidence.trace.technique == "hybrid"
    return [finding.code for finding in report.findings]


def drop_path(x: torch.Tensor) -> torch.Tensor:
    """As timm writes it."""
    return x * x.new_empty((len(x), 1)).bernoulli_(0.5).div_(0.5)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad * 2


@torch.jit.script
def scripted(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) * 2.0


def written(net: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    F.dropout(x.view(-1), 0.5, inplace=True)
    return net.norm(x)


def set_item(net: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    y[:] = F.dropout(x, 0.5)
    return net.norm(y)


def out(net: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    torch.add(F.dropout(x, 0.5), 1, out=y)
    return net.norm(y)


DIRECT = {
    "module": lambda net, x: net.norm(net.drop(x)),
    "function": lambda net, x: net.norm(F.dropout(x, 0.5)),
    "relu_in_place": lambda net, x: net.norm(F.dropout(x, 0.5).relu_()),
    "write_through_a_view": written,
    "set_item": set_item,
    "out": out,
    "shapes": lambda net, x: net.norm(F.dropout(x, 0.5).reshape(4, -1).reshape(-1, 8).t().t()),
    "chunk_and_cat": lambda net, x: net.norm(torch.cat(F.dropout(x, 0.5).chunk(2, 1), 1)),
    "autograd_function": lambda net, x: net.norm(Double.apply(F.dropout(x, 0.5))),
    "torchscript": lambda net, x: net.norm(scripted(F.dropout(x, 0.5))),
    "hand_made_mask": lambda net, x: net.norm(x * (torch.rand_like(x) > 0.5) / 0.5),
    "position_added": lambda net, x: net.norm(F.dropout(x, 0.5) + net.fc.bias),
    "checkpoint": lambda net, x: net.norm(checkpoint(net.drop, x, use_reentrant=False)),
    "reentrant_checkpoint": lambda net, x: net.norm(checkpoint(net.drop, x * net.fc.bias, use_reentrant=True)),
}
BEHIND_WEIGHTS = {
    "linear": lambda net, x: net.norm(net.fc(net.drop(x))),
    "product": lambda net, x: net.norm(net.drop(x) @ net.fc.weight),
    "einsum": lambda net, x: net.norm(torch.einsum("ij,jk->ik", net.drop(x), net.fc.weight)),
}
DILUTED = {
    "residual": lambda net, x: net.norm(x + net.drop(net.fc(x))),
    "part_of_the_features": lambda net, x: net.norm(torch.cat([net.drop(x[:, :4]), x[:, 4:]], 1)),
    "stochastic_depth": lambda net, x: net.norm(x + drop_path(net.fc(x))),
    "whole_samples": lambda net, x: net.norm(drop_path(x)),
}
SILENT = {
    "norm_first": lambda net, x: net.drop(net.norm(x)),
    "rate_zero": lambda net, x: net.norm(F.dropout(x, 0.0)),
    "not_training": lambda net, x: net.norm(F.dropout(x, 0.5, training=False)),
    "layer_norm_between": lambda net, x: net.norm(F.layer_norm(net.drop(x), (8,))),
    "alpha_dropout": lambda net, x: net.norm(F.alpha_dropout(x, 0.5, training=True)),
    "parallel_branches": lambda net, x: net.norm(x) + net.drop(x),
    "frozen_norm": lambda net, x: net.frozen(net.drop(x)),
    "normal_noise": lambda net, x: net.norm(x + torch.randn_like(x) * net.fc.bias),
}


@pytest.mark.parametrize("function", DIRECT.values(), ids=DIRECT)
def test_dropout_straight_before_a_batch_norm_is_found(function: Any) -> None:
    assert codes(function) == ["PLC001"]


@pytest.mark.parametrize("function", BEHIND_WEIGHTS.values(), ids=BEHIND_WEIGHTS)
def test_dropout_behind_weights_is_told_apart(function: Any) -> None:
    assert codes(function) == ["PLC002"]


@pytest.mark.parametrize("function", DILUTED.values(), ids=DILUTED)
def test_diluted_dropout_is_told_apart(function: Any) -> None:
    assert codes(function) == ["PLC003"]


@pytest.mark.parametrize("function", SILENT.values(), ids=SILENT)
def test_what_does_no_harm_is_not_told_of(function: Any) -> None:
    assert codes(function) == []
