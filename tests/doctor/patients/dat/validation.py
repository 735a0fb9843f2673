"""Patients of the rule on validation sets that are unlike the training set."""

import torch
from doctor_inputs import lit, loader, net
from patient import healthy, sick
from torch import Tensor, nn
from torch.utils.data import TensorDataset


def table(count: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def split(x: Tensor, y: Tensor, val_x: Tensor, val_y: Tensor, model: nn.Module | None = None) -> dict:
    return {
        "model": lit(net(inputs=x[0].numel(), outputs=4)) if model is None else model,
        "train_dataloaders": loader(TensorDataset(x, y), 32),
        "val_dataloaders": loader(TensorDataset(val_x, val_y), 32, shuffle=False),
    }


def images(tint: tuple[float, float, float], scale: float = 1.0, low: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(int(100 * scale))
    noise = torch.rand(64, 3, 8, 8, generator=generator) * 0.5 + torch.tensor(tint)[:, None, None]
    return low + scale * noise, torch.randint(0, 3, (64,), generator=generator)


def flat() -> nn.Module:
    return lit(nn.Sequential(nn.Flatten(), net(inputs=192, outputs=4)))


WARM = (0.4, 0.2, 0.0)


@sick("DAT015", "(std 1", severity="warning")
def validation_on_another_scale() -> dict:
    (x, y), (val_x, val_y) = table(), table(128, seed=1)
    return split(x, y, 15 * val_x + 3, val_y)


@sick("DAT015", "std apart")
def validation_moved_by_ten() -> dict:
    (x, y), (val_x, val_y) = table(), table(128, seed=1)
    return split(x, y, val_x + 10, val_y)


@sick("DAT015", "normalization is missing")
def validation_images_without_normalization() -> dict:
    return split(*images(WARM, scale=2.0, low=-1.0), *images(WARM), flat())


@sick("DAT015", "reverse order")
def validation_images_with_channels_reversed() -> dict:
    return split(*images(WARM), *images(WARM[::-1]), flat())


@sick("DAT015", "labels of training are 0 to 2, those of validation 1 to 3")
def classes_that_start_at_one_in_validation() -> dict:
    (x, y), (val_x, val_y) = table(), table(128, seed=1)
    return split(x, y, val_x, val_y + 1)


@healthy("DAT015")
def another_sample_of_the_same_rows() -> dict:
    return split(*table(), *table(128, seed=1))


@healthy("DAT015")
def images_of_the_same_kind() -> dict:
    return split(*images(WARM), *images((0.38, 0.22, 0.02), scale=1.1), flat())


@healthy("DAT015")
def a_class_without_validation_rows() -> dict:
    (x, y), (val_x, val_y) = table(), table(128, seed=1)
    return split(x, y, val_x, val_y.clamp(max=1))


@healthy("DAT015")
def a_column_that_is_constant_in_training() -> dict:
    (x, y), (val_x, val_y) = table(), table(128, seed=1)
    return split(torch.cat([x, torch.ones(256, 1)], 1), y, torch.cat([val_x, torch.ones(128, 1)], 1), val_y)
