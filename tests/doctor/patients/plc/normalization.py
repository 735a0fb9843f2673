"""Patients of the rules on what a normalization computes its statistics over."""

import torch
import torch.nn.functional as F
from patient import Calling, healthy, sick
from torch import nn


def rows(n: int = 32) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(0))


def over(*layers: nn.Module) -> dict:
    return {"model": nn.Sequential(*layers), "batch": rows()}


@sick("PLC015", "LayerNorm 1", "over 1 value", severity="error")
def layer_norm_of_one_output() -> dict:
    return over(nn.Linear(8, 1), nn.LayerNorm(1))


@sick("PLC015", "GroupNorm 2", "over 1 value")
def one_channel_a_group_at_one_position() -> dict:
    return {"model": nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.GroupNorm(8, 8)),
            "batch": torch.randn(4, 3, 8, 8)}  # fmt: skip


@healthy("PLC015")
def layer_norm_of_many() -> dict:
    return over(nn.Linear(8, 16), nn.LayerNorm(16))


@healthy("PLC015")
def one_channel_a_group_over_a_map() -> dict:
    return {"model": nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(8, 8)), "batch": torch.randn(4, 3, 8, 8)}


@healthy("PLC015")
def layer_norm_over_a_sequence() -> dict:
    return {"model": nn.LayerNorm([5, 1]), "batch": torch.randn(4, 5, 1)}


def two_places(scale: float, norms: int = 1) -> dict:
    def forward(net, x):
        hidden = F.relu(net.norm(net.first(x)))
        return net.head(F.relu((net.norm if norms == 1 else net.other)(scale * net.second(hidden) + scale - 1)))

    parts = {
        "norm": nn.BatchNorm1d(16),
        "first": nn.Linear(8, 16),
        "second": nn.Linear(16, 16),
        "head": nn.Linear(16, 3),
    }
    if norms == 2:
        parts["other"] = nn.BatchNorm1d(16)
    return {"model": Calling(forward, **parts), "batch": rows()}


@sick("PLC016", "2 places (first, second)", "BatchNorm1d", severity="warning")
def one_norm_behind_two_layers() -> dict:
    return two_places(6.0)


@sick("PLC016", "BatchNorm2d")
def one_norm_on_two_scales() -> dict:
    def forward(net, x):
        return net.norm(net.fine(x)).mean((2, 3)) + net.norm(10 * net.coarse(F.avg_pool2d(x, 2))).mean((2, 3))

    parts = {"norm": nn.BatchNorm2d(8), "fine": nn.Conv2d(3, 8, 3), "coarse": nn.Conv2d(3, 8, 3)}
    return {"model": Calling(forward, **parts), "batch": torch.randn(8, 3, 12, 12)}


@sick("PLC016", severity="info")
def one_norm_behind_two_layers_alike_at_the_start() -> dict:
    return two_places(1.0)


@healthy("PLC016")
def a_norm_for_each_place() -> dict:
    return two_places(6.0, norms=2)


@healthy("PLC016")
def siamese_branches() -> dict:
    return {"model": Calling(lambda net, x: net.norm(net.fc(x)) * net.norm(net.fc(x.flip(1))),
                             norm=nn.BatchNorm1d(16), fc=nn.Linear(8, 16)), "batch": rows()}  # fmt: skip


@healthy("PLC016")
def a_critic_of_real_and_generated_rows() -> dict:
    def forward(net, x):
        return net.norm(net.fc(x)) - net.norm(net.fc(torch.tanh(net.made(x)) * 0.1))

    parts = {"norm": nn.BatchNorm1d(16), "fc": nn.Linear(8, 16), "made": nn.Linear(8, 8)}
    return {"model": Calling(forward, **parts), "batch": rows()}


@sick("PLC017", "momentum = 0.99", severity="warning")
def momentum_of_another_framework() -> dict:
    return over(nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=0.99))


@sick("PLC017", "momentum = 0.001")
def momentum_that_never_arrives() -> dict:
    return over(nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=0.001))


@healthy("PLC017")
def the_default_momentum() -> dict:
    return over(nn.Linear(8, 8), nn.BatchNorm1d(8))


@healthy("PLC017")
def an_average_over_all_batches() -> dict:
    return over(nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=None))


@healthy("PLC017")
def a_slow_momentum() -> dict:
    return over(nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=0.01))


@sick("PLC015", "over 1 value", severity="info")
def a_score_of_one_variable() -> dict:
    model = Calling(
        lambda net, x: net.fc(x) * net.norm(net.score(x)).softmax(1),
        fc=nn.Linear(8, 3), score=nn.Linear(8, 1), norm=nn.LayerNorm(1),
    )  # fmt: skip
    return {"model": model, "batch": rows()}
