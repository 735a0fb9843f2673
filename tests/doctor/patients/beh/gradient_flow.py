"""Patients of the rules on what is trained."""

import copy
from typing import Any

import torch
from patient import Calling, Step, classes, healthy, sick
from torch import nn


def step(function: Any, **parts: nn.Module) -> dict:
    return {"model": Step(Calling(function, a=nn.Linear(8, 8), b=nn.Linear(8, 3), **parts)), "batch": classes()}


def norm_in_eval(frozen: bool) -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    model[1].eval().requires_grad_(not frozen)
    return model


@sick("BEH004", "BatchNorm1d has training = False", severity="warning")
def norm_left_in_eval_mode() -> dict:
    return {"model": norm_in_eval(frozen=False)}


@sick("BEH004", "Dropout", severity="warning")
def dropout_left_in_eval_mode() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5).eval())}


@healthy("BEH004")
def frozen_norm() -> dict:
    return {"model": norm_in_eval(frozen=True)}


@healthy("BEH004")
def all_in_eval_mode() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).eval()}


@sick("BEH006", "Linear's weight, bias gets no gradient", severity="warning")
def unused_layer() -> dict:
    return step(lambda net, x: net.b(x))


@sick("BEH006", "exactly 0", severity="info")
def layer_behind_zeros() -> dict:
    return step(lambda net, x: net.b(x) + 0 * net.a(x)[:, :3])


@healthy("BEH006")
def both_are_used() -> dict:
    return step(lambda net, x: net.b(net.a(x).relu()))


@sick("BEH006", "gets no gradient", severity="info")
def target_network_that_no_optimizer_holds() -> dict:
    class Target(Step):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD([*self.net.a.parameters(), *self.net.b.parameters()], 0.1)

    net = Calling(lambda net, x: net.b(net.a(x).relu()), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    net.target = copy.deepcopy(net.a)
    return {"model": Target(net), "batch": classes()}


@healthy("BEH006")
def unused_and_frozen() -> dict:
    found = step(lambda net, x: net.b(x))
    found["model"].net.a.requires_grad_(False)
    return found


@sick("BEH008", "`detach`", "net.a.bias", severity="warning")
def detached_in_the_middle() -> dict:
    return step(lambda net, x: net.b(net.a(x).detach()))


@sick("BEH008", "`round`", severity="warning")
def rounded_in_the_middle() -> dict:
    return step(lambda net, x: net.b(net.a(x).round()))


@sick("BEH008", "`linear`", severity="warning")
def without_grad() -> dict:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = torch.nn.functional.linear(x, net.a.weight)
        return net.b(x)

    return step(forward)


@healthy("BEH008")
def straight_through() -> dict:
    return step(lambda net, x: net.b((lambda h: h + (h.round() - h).detach())(net.a(x))))


@sick("BEH008", "`detach`", "net.a.bias", severity="warning")
def one_of_two_branches_is_cut() -> dict:
    return step(lambda net, x: net.b(net.a(x).detach() + net.c(x)), c=nn.Linear(8, 8))


@healthy("BEH008")
def the_same_layer_with_and_without_gradient() -> dict:
    """A layer of zeros behind it, so that its gradient is exactly 0, and a second, uncut way."""
    found = step(lambda net, x: net.b(net.zero(net.a(x)) + x) + 0 * net.a(x).detach().sum(), zero=nn.Linear(8, 8))
    nn.init.zeros_(found["model"].net.zero.weight)
    return found


def following(update: Any) -> dict:
    """A frozen copy of the first layer is updated in the step, and used; one layer of the student is spare."""

    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for own, copy in zip(net.spare.parameters(), net.copy.parameters(), strict=True):
                update(copy, own)
        return net.b(net.a(x) + net.copy(x))

    found = step(forward, spare=nn.Linear(8, 8), copy=nn.Linear(8, 8))
    found["model"].net.copy.requires_grad_(False)
    return found


@healthy("BEH008")
def average_by_lerp() -> dict:
    return following(lambda copy, own: copy.lerp_(own, 0.1))


@healthy("BEH008")
def average_by_copy() -> dict:
    return following(lambda copy, own: copy.copy_(0.9 * copy + 0.1 * own))


@healthy("BEH008")
def average_of_the_data() -> dict:
    return following(lambda copy, own: copy.data.mul_(0.9).add_(own.data, alpha=0.1))


@healthy("BEH008")
def average_of_lists() -> dict:
    return following(lambda copy, own: torch._foreach_lerp_([copy], [own], 0.1))


@healthy("BEH008")
def teacher_that_is_frozen() -> dict:
    found = step(lambda net, x: net.b(net.a(x).detach()))
    found["model"].net.a.requires_grad_(False)
    return found


@sick("BEH003", "in 200 steps", severity="warning")
def targets_that_nothing_tells() -> dict:
    x, y = classes()
    return {"model": Step(nn.Linear(8, 3)), "batch": (torch.ones_like(x), y)}


@healthy("BEH003")
def a_batch_learnt_by_heart() -> dict:
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))
    return {"model": Step(net), "batch": classes()}


@healthy("BEH006")
def layers_left_out_at_random() -> dict:
    """Stochastic depth by leaving a layer out: with other random numbers it has a gradient."""

    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(x + self.a(x).relu() if torch.rand(()) < 0.7 else x)

    model = Step(Sometimes())
    torch.manual_seed(1)  # the first number is above 0.7
    return {"model": model, "batch": classes()}


class InEvalMode(Step):
    """A step that switches the model to eval mode."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.eval()
        return super().training_step(batch, batch_idx)


class LooksFirst(Step):
    """A step that looks at its outputs in eval mode before it trains."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.eval()
        with torch.no_grad():
            self(batch[0])
        self.train()
        return super().training_step(batch, batch_idx)


def with_norm() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@sick("BEH004", "the step runs it in eval mode", severity="warning")
def a_step_in_eval_mode() -> dict:
    return {"model": InEvalMode(with_norm()), "batch": classes()}


@healthy("BEH004")
def a_look_in_eval_mode_before_the_step() -> dict:
    return {"model": LooksFirst(with_norm()), "batch": classes()}
