"""Patients of the rules on inputs and targets."""

from collections.abc import Callable
from typing import Any

import torch
from doctor_inputs import batch, lit, net
from patient import Step, healthy, sick
from torch import Tensor, nn
from torch.nn import functional as F


def squared(preds: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(preds.squeeze(1), y)


def fed(change: Tensor | float, shift: float = 0.0, model: nn.Module | None = None) -> dict:
    x, y = batch()
    return {"model": lit(model if model is not None else net()), "batch": (x * change + shift, y)}


class Rescaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x / 255)


@sick("DAT001", "beyond 20")
def pixels() -> dict:
    x, y = batch()
    return {"model": lit(net()), "batch": ((x * 60 + 127).clamp(0, 255).round(), y)}


@sick("DAT001", "beyond 3 × std")
def far_from_zero() -> dict:
    return fed(1.0, 10.0)


@sick("DAT001", "stds of the features differ", "above 100")
def features_in_different_units() -> dict:
    return fed(torch.tensor([1.0, 1e-3, 1.0, 1.0]))


class OfAWalk(Step):
    """A step that is given walks around 40, and looks at them in its own way."""

    def __init__(self, look: Callable[[Tensor], Tensor]) -> None:
        super().__init__(nn.Linear(16, 3))
        self.look = look

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        walk, y = batch["series"]["walk"], batch["label"]
        return F.cross_entropy(self.net(self.look(walk)), y) + 0 * (batch["scale"] * walk).mean()


def looking(look: Callable[[Tensor], Tensor]) -> dict:
    walk = torch.randn(64, 16, generator=torch.Generator().manual_seed(0)).cumsum(1) + 40
    return {
        "model": OfAWalk(look),
        "batch": {"series": {"walk": walk}, "scale": walk.std(1, keepdim=True) * 100, "label": torch.arange(64) % 3},
    }


@sick("DAT001", "beyond 3 × std")
def raw_walks() -> dict:
    return looking(lambda walk: walk)


@sick("DAT001", "inputs of this layer", "beyond 20")
def walks_that_the_step_scales_up() -> dict:
    return looking(lambda walk: (walk - 40) * 100)


@healthy("DAT001")
def differences_of_walks() -> dict:
    return looking(lambda walk: F.pad(walk.diff(dim=1), (1, 0)))


@healthy("DAT001")
def walks_standardised_one_by_one() -> dict:
    return looking(lambda walk: (walk - walk.mean(1, keepdim=True)) / (walk.std(1, keepdim=True) + 1e-6))


@healthy("DAT001")
def walks_relative_to_their_end() -> dict:
    return looking(lambda walk: walk / walk[:, -1:] - 1)


@healthy("DAT001")
def logarithms_of_walks() -> dict:
    return looking(lambda walk: walk.clamp_min(0).log1p())


@healthy("DAT001")
def walks_that_reach_no_layer() -> dict:
    return looking(torch.rand_like)


@healthy("DAT001")
def standardised() -> dict:
    return fed(1.0)


@healthy("DAT001")
def shares() -> dict:
    x, y = batch()
    return {"model": lit(net()), "batch": (x.sigmoid() * 0.05 + 0.9, y)}


@healthy("DAT001")
def outliers_of_standardised_features() -> dict:
    x, y = batch()
    x[0, 0] = 40.0
    return {"model": lit(net()), "batch": (x, y)}


@healthy("DAT001")
def norm_first() -> dict:
    return fed(60.0, 127.0, nn.Sequential(nn.BatchNorm1d(4), net()))


@healthy("DAT001")
def rescaled_by_the_model() -> dict:
    return fed(60.0, 127.0, Rescaling())


@healthy("DAT001")
def token_ids() -> dict:
    model = nn.Sequential(nn.EmbeddingBag(100, 8), nn.Linear(8, 3))
    return {"model": lit(model), "batch": (torch.arange(64).view(16, 4), torch.arange(16) % 3)}


class FloatIds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(100, 8), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids.long()).mean(1))


@healthy("DAT001")
def ids_as_floats() -> dict:
    return {"model": lit(FloatIds()), "batch": (torch.arange(64.0).view(16, 4), torch.arange(16) % 3)}


@sick("DAT007", "1 of 4 columns are constant over 300 rows", severity="info")
def a_column_that_never_changes() -> dict:
    x, y = batch(300)
    x[:, 2] = 1.0
    return {"model": lit(net()), "batch": (x, y)}


@healthy("DAT007")
def columns_that_change() -> dict:
    return {"model": lit(net()), "batch": batch(300)}


@sick("DAT009", "targets have mean", "beyond 100")
def prices() -> dict:
    x, _ = batch()
    return {"model": lit(net(outputs=1), squared), "batch": (x, x[:, 0] * 900 + 5000)}


@healthy("DAT009")
def standardised_targets() -> dict:
    x, _ = batch()
    return {"model": lit(net(outputs=1), squared), "batch": (x, x[:, 0])}


@healthy("DAT009")
def counts_under_a_loss_in_logarithms() -> dict:
    x, _ = batch()
    loss = lit(net(outputs=1), lambda preds, y: F.poisson_nll_loss(preds.squeeze(1), y))
    return {"model": loss, "batch": (x, x[:, 0].abs() * 1000)}


@sick("DAT001", "is below 0.01: scaled twice")
def pixels_divided_by_255_twice() -> dict:
    x, y = batch()
    return {"model": lit(net()), "batch": (x.sigmoid() / 255, y)}


@healthy("DAT001")
def series_divided_by_their_mean() -> dict:
    class Relative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x / x.mean(1, keepdim=True))

    return fed(1.0, 10.0, Relative())
