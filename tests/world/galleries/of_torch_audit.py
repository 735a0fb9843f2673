"""The rules of torch-audit 0.3.0 that are about models and data, not about hardware, in programs of our own."""

from typing import Any

import torch
import torch.nn.functional as F
from fault import fault
from of_models import Forward
from question import Model, images, mlp, on, table
from torch import Tensor, nn

PEER = "torch-audit"


def convnet(channels: int = 3, size: int = 3, **settings: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 8, size, **settings), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))  # fmt: skip


def sentences(low: int = 0) -> tuple[Tensor, Tensor]:
    ids = torch.randint(low, 10, (64, 6), generator=torch.Generator().manual_seed(0))
    return ids, ids[:, 0].abs() % 3


def decayed(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, 1e-3, weight_decay=1e-2)


@fault(PEER, "TA100", "a weight that is NaN", "NUM003")
def a_weight_of_nan() -> dict[str, Any]:
    net = mlp()
    net[0].weight.data[0, 0] = float("nan")
    return on(Model(net), table())


@fault(PEER, "TA102", "exploding gradients", "INI003")
def weights_times_a_thousand() -> dict[str, Any]:
    net = mlp()
    net[0].weight.data.mul_(1000)
    return on(Model(net), table())


@fault(PEER, "TA103", "units without a gradient", "ACT003")
def units_below_zero() -> dict[str, Any]:
    net = mlp()
    nn.init.constant_(net[0].bias, -1e3)
    return on(Model(net), table())


@fault(PEER, "TA104", "no parameter has a gradient", "LOS010")
def all_parameters_frozen() -> dict[str, Any]:
    return {"model": Model(mlp().requires_grad_(False)), "batch": table()}


@fault(PEER, "TA105", "activations that are nearly all zero", "ACT003")
def most_units_below_zero() -> dict[str, Any]:
    net = mlp()
    nn.init.constant_(net[0].bias, -8.0)
    return on(Model(net), table())


@fault(PEER, "TA301", "inputs of a suspicious range", "DAT001")
def pixels_up_to_255() -> dict[str, Any]:
    x, y = images()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    return on(Model(net), (x * 255, y))


@fault(PEER, "TA302", "a batch without content", "DAT018")
def blank_images() -> dict[str, Any]:
    x, y = images()
    return on(Model(convnet()), (torch.zeros_like(x), y))


@fault(PEER, "TA303", "channels last into a channels-first network", "DAT017")
def channels_last() -> dict[str, Any]:
    x, y = images()
    return on(Model(convnet(16)), (x.permute(0, 2, 3, 1).contiguous(), y))


@fault(PEER, "TA304", "a tiny batch with batch norm", "PLC011")
def two_samples_a_batch() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    x, y = table()
    return {"model": Model(net), "batch": (x[:2], y[:2])}


@fault(PEER, "TA305", "negative token ids", "DAT016")
def ids_below_zero() -> dict[str, Any]:
    net = Forward(lambda net, ids: net.head(net.words(ids).flatten(1)), words=nn.Embedding(10, 8),
                  head=nn.Linear(48, 3))  # fmt: skip
    return on(Model(net), sentences(-1))


@fault(PEER, "TA400", "a bias before a norm", "PLC010")
def bias_before_batchnorm() -> dict[str, Any]:
    return on(Model(convnet()), images())


@fault(PEER, "TA401", "weight decay in Adam", "OPT003")
def coupled_decay() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda parameters: torch.optim.Adam(parameters, 1e-3, weight_decay=1e-2)), table())


@fault(PEER, "TA402", "weight decay of norms and biases", "OPT006")
def decay_of_a_norm() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 3))
    return on(Model(net, tune=decayed), table())


@fault(PEER, "TA403", "weight decay of embeddings", "")
def decay_of_an_embedding() -> dict[str, Any]:
    net = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(48, 3, bias=False))
    return on(Model(net, tune=decayed), sentences())


@fault(PEER, "TA404", "an even kernel size", "SIZ003")
def kernels_of_four() -> dict[str, Any]:
    return on(Model(convnet(size=4, bias=False)), images())


@fault(PEER, "TA405", "a filter of zeros", "INI006")
def a_filter_of_zeros() -> dict[str, Any]:
    net = convnet(bias=False)
    net[0].weight.data[0] = 0
    return on(Model(net), images())


@fault(PEER, "TA500", "a layer that is never used", "BEH006")
def an_unused_layer() -> dict[str, Any]:
    net = Forward(lambda net, x: net.body(x), body=nn.Linear(8, 3), unused=nn.Linear(3, 3))
    return on(Model(net), table())


@fault(PEER, "TA501", "one batch norm in several places", "PLC016")
def a_shared_norm() -> dict[str, Any]:
    def forward(net: Any, x: Tensor) -> Tensor:
        h = F.relu(net.norm(net.first(x)))
        return net.head(F.relu(net.norm(net.second(h))))

    net = Forward(forward, first=nn.Linear(8, 32), second=nn.Linear(32, 32), norm=nn.BatchNorm1d(32),
                  head=nn.Linear(32, 3))  # fmt: skip
    return on(Model(net), table())
