"""Clipping by norm and by value: bounds, groups, arguments."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import Net, fit, trainer

from lightning_tricks import GradientClipping


def group_norms_after(net: Any, norm_type: float = 2.0) -> list[list[float]]:
    """Note the norm of each parameter group that a step uses."""
    seen: list[list[float]] = []

    def note(optimizer: Any) -> None:
        grads = [[p.grad for p in group["params"]] for group in optimizer.param_groups]
        seen.append([float(torch.nn.utils.get_total_norm(of_group, norm_type)) for of_group in grads])

    net.on_before_optimizer_step = note
    return seen


def test_the_default_bounds_the_norm_by_one() -> None:
    net, bare = Net(), Net()
    clipped, free = group_norms_after(net), group_norms_after(bare)
    fit(GradientClipping(), net=net)
    fit(net=bare)
    assert max(math.hypot(*norms) for norms in clipped) == pytest.approx(1, rel=1e-4)
    assert max(math.hypot(*norms) for norms in free) > 2


def test_each_group_can_be_bounded_on_its_own() -> None:
    net = Net()
    seen = group_norms_after(net)
    fit(GradientClipping(0.5, per_group=True), net=net)
    assert max(norms[0] for norms in seen) == pytest.approx(0.5, rel=1e-4)
    assert max(norms[1] for norms in seen) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("norm_type", ["inf", math.inf, 1.0])
def test_the_norm_may_be_another(norm_type: Any) -> None:
    net = Net()
    seen = group_norms_after(net, float(norm_type))
    fit(GradientClipping(0.1, norm_type=norm_type), net=net)
    join = max if math.isinf(float(norm_type)) else sum
    assert max(map(join, seen)) == pytest.approx(0.1, rel=1e-3)


def test_groups_without_a_gradient_are_passed_over() -> None:
    net = Net()
    net.head.requires_grad_(False)
    fit(GradientClipping(0.5, per_group=True, log=True), net=net, log_every_n_steps=1)
    assert net.trainer.callback_metrics["grad_norm_clipped"] <= 0.5001


def test_clipping_by_value_counts_the_steps_in_which_an_element_was_cut() -> None:
    for bound, rate in ((1e-3, 1.0), (1e3, 0.0)):
        runner = trainer(GradientClipping(clip_value=bound, log=True), log_every_n_steps=3)
        runner.fit(Net())
        assert float(runner.callback_metrics["clip_rate"]) == rate


@pytest.mark.parametrize("share", [0.5, 1 - 1e-4, 1 - 1e-6, 1.0, 1 + 1e-6, 2.0])
@pytest.mark.parametrize("way", ["max_norm", "clip_value"])
@pytest.mark.parametrize("fused", [False, True])
def test_near_its_bound_it_does_what_torch_does_to_the_last_bit(share: float, way: str, fused: bool) -> None:
    ours, theirs = (torch.nn.Linear(3, 4) for _ in range(2))
    torch.manual_seed(0)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        a.grad = torch.randn_like(a)
        b.grad = a.grad.clone()
    grads = [p.grad for p in theirs.parameters()]
    size = torch.nn.utils.get_total_norm(grads, 2.0 if way == "max_norm" else math.inf)
    bound = float(size) / share
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1, fused=fused)
    runner = SimpleNamespace(optimizers=[optimizer], precision_plugin=None, global_step=0)
    clipping = GradientClipping(**{way: bound})
    clipping.on_before_optimizer_step(runner, SimpleNamespace(automatic_optimization=True), optimizer)
    if way == "max_norm":
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), bound)
    else:
        torch.nn.utils.clip_grad_value_(theirs.parameters(), bound)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


@pytest.mark.parametrize("way", ["max_norm", "clip_value"])
def test_gradients_that_the_host_knows_to_be_small_are_not_written(way: str) -> None:
    net = Net()
    versions: list[int] = []
    net.on_before_optimizer_step = lambda optimizer: versions.extend(p.grad._version for p in net.parameters())
    fit(GradientClipping(**{way: 1e3}), net=net)
    small = list(versions)
    versions.clear()
    fit(GradientClipping(**{way: 1e-3}), net=net)
    assert len(small) == len(versions) > 0
    assert all(b > a for a, b in zip(small, versions, strict=True))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_norm": 1.0, "clip_value": 0.5}, ValueError, "two ways to clip, got 1.0 and 0.5"),
        ({"max_norm": 0}, ValueError, "`max_norm` must be finite and > 0, got 0"),
        ({"max_norm": -1}, ValueError, "`max_norm` must be finite and > 0, got -1"),
        ({"max_norm": math.nan}, ValueError, "`max_norm` must be finite and > 0, got nan"),
        ({"max_norm": "1"}, TypeError, "`max_norm` must be a number, got '1'"),
        ({"clip_value": 0.0}, ValueError, "`clip_value` must be finite and > 0, got 0.0"),
        ({"clip_value": math.nan}, ValueError, "`clip_value` must be finite and > 0, got nan"),
        ({"norm_type": 0}, ValueError, "`norm_type` must be finite and > 0, got 0"),
        ({"norm_type": "two"}, TypeError, "`norm_type` must be a number, got 'two'"),
        ({"per_group": 1}, TypeError, "`per_group` must be True or False, got 1"),
    ],
)
def test_wrong_arguments_are_refused_with_the_value(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        GradientClipping(**arguments)
