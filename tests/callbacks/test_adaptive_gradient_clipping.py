"""Adaptive clipping in a run: what it bounds, what it leaves alone, its arguments."""

import math
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from scaled_grad_net import GOOD, ScaledGradNet, batches
from tiny import Net, fit, same, trainer, weights
from torch import nn

from lightning_tricks import AdaptiveGradientClipping


def shares_after(net: Any) -> dict[str, list[float]]:
    """Note the largest share of its weights' norm that the gradient of a unit has, by parameter."""
    seen: dict[str, list[float]] = {}

    def note(optimizer: Any) -> None:
        for name, param in net.named_parameters():
            dims = tuple(range(1, param.ndim)) or None
            norm = torch.linalg.vector_norm(param.detach(), dim=dims).clamp(min=1e-3)
            share = torch.linalg.vector_norm(param.grad, dim=dims) / norm
            seen.setdefault(name, []).append(float(share.max()))

    net.on_before_optimizer_step = note
    return seen


def test_no_unit_moves_by_more_than_its_share_but_those_excluded() -> None:
    net = Net()
    seen = shares_after(net)
    fit(AdaptiveGradientClipping(0.02, exclude=["head.*"]), net=net)
    for name, shares in seen.items():
        assert (max(shares) > 0.05) == name.startswith("head."), name
        assert name.startswith("head.") or max(shares) <= 0.02001


def test_an_optimizer_of_excluded_parameters_alone_is_left_alone() -> None:
    clipped = fit(AdaptiveGradientClipping(1e-6, exclude=["*"]), net=Net(manual=True))
    assert same(weights(clipped), weights(fit(net=Net(manual=True))))


@pytest.mark.parametrize("optimizer", ["SGD", "fused AdamW"])
def test_a_bad_gradient_of_an_excluded_parameter_is_seen(optimizer: str) -> None:
    clipper, module = AdaptiveGradientClipping(0.1, exclude=["body.*"], max_skips=0), ScaledGradNet(optimizer)
    with pytest.raises(RuntimeError, match=r"such a gradient: body.weight, body.bias\."):
        trainer(clipper, max_epochs=1).fit(module, batches([GOOD, math.nan, GOOD]))


def test_patterns_see_through_the_name_that_compiling_adds() -> None:
    net = Net()
    net.body = nn.ModuleDict({"_orig_mod": net.body})
    net.loss = lambda batch: (net.head(net.body["_orig_mod"](batch[0])) - batch[1]).pow(2).mean()
    seen = shares_after(net)
    fit(AdaptiveGradientClipping(0.02, exclude=["body.0.*", "head.weight"]), net=net)
    assert max(seen["body._orig_mod.0.weight"]) > 0.05
    assert max(seen["body._orig_mod.1.weight"]) <= 0.02001


def test_a_pattern_that_matches_nothing_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(MisconfigurationException, match=r"'haed.\*' that matches no parameter.*body.0.weight"):
        fit(AdaptiveGradientClipping(exclude=["head.*", "haed.*"]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"clip_factor": 0}, ValueError, "`clip_factor` must be finite and > 0, got 0"),
        ({"clip_factor": math.nan}, ValueError, "`clip_factor` must be finite and > 0, got nan"),
        ({"eps": 0.0}, ValueError, "`eps` must be finite and > 0, got 0.0"),
        (
            {"exclude": "head.*"},
            TypeError,
            r"must be a list of glob patterns such as \['head.\*'\], got 'head",
        ),
        ({"exclude": [1]}, TypeError, r"`exclude` must be a list of glob patterns.*got \[1\]"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        AdaptiveGradientClipping(**arguments)
