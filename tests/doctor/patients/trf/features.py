"""Patients of the rule on frozen features that are computed again."""

import torch
from doctor_inputs import lit, loader, rows
from patient import healthy, sick
from torch import Tensor, nn
from torch.utils.data import Dataset


class Augmented(Dataset):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.randn(4), torch.tensor(index % 3)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn_like(x)


def on_backbone(
    *, frozen: bool, data: Dataset | None = None, width: int = 200, before: tuple[nn.Module, ...] = ()
) -> dict:
    backbone = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    model = lit(nn.Sequential(*before, backbone.requires_grad_(not frozen), nn.Linear(width, 3)))
    return {"model": model, "train_dataloaders": loader(rows() if data is None else data)}


@sick("TRF001", "parameters are frozen", severity="info")
def a_frozen_backbone() -> dict:
    return on_backbone(frozen=True)


@sick("TRF001", "rows are the same")
def a_wide_frozen_backbone() -> dict:
    return on_backbone(frozen=True, width=400)


@sick("TRF001", "rows are the same")
def a_frozen_backbone_behind_a_fixed_scale() -> dict:
    return on_backbone(frozen=True, before=(nn.Flatten(), nn.Tanh()))


@healthy("TRF001")
def a_frozen_backbone_behind_random_noise() -> dict:
    return on_backbone(frozen=True, before=(Noise(),))


@healthy("TRF001")
def a_frozen_backbone_behind_dropout() -> dict:
    return on_backbone(frozen=True, before=(nn.Dropout(0.1),))


@healthy("TRF001")
def a_frozen_backbone_behind_a_layer_that_trains() -> dict:
    return on_backbone(frozen=True, before=(nn.Linear(4, 4),))


@healthy("TRF001")
def a_backbone_that_trains() -> dict:
    return on_backbone(frozen=False)


@healthy("TRF001")
def a_small_frozen_part() -> dict:
    return on_backbone(frozen=True, width=16)


@healthy("TRF001")
def nothing_frozen_and_rows_that_vary() -> dict:
    return on_backbone(frozen=False, data=Augmented())
