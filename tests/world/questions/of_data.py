"""Questions about data: scale, order, layout, and the split."""

from typing import Any

import torch
from question import Model, images, loader, mlp, on, question, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset


def convolutions(channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )


def split(train: tuple[Tensor, ...], val: tuple[Tensor, ...], model: nn.Module, **others: Any) -> dict[str, Any]:
    return {
        "model": model, "train_dataloaders": loader(*train), "val_dataloaders": loader(*val, shuffle=False), **others
    }  # fmt: skip


@question("CNN on images in 0 to 255 does not learn", "DAT001")
def images_in_255() -> dict[str, Any]:
    x, y = images()
    return on(Model(convolutions()), ((255 * x).round(), y))


@question("Features of very different sizes", "DAT001")
def columns_from_a_thousandth_to_a_million() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp()), (x * torch.logspace(-3, 6, 8), y))


@question("The loss jumps at the borders of classes within an epoch", "DAT002")
def rows_sorted_by_class() -> dict[str, Any]:
    x, y = table()
    order = y.argsort()
    return {"model": Model(mlp()), "train_dataloaders": loader(x[order], y[order], shuffle=False)}


@question("95 % accuracy, and it always predicts the same class", "DAT008")
def one_class_of_twenty_rows() -> dict[str, Any]:
    x, _ = table(1000)
    return on(Model(mlp(8, 2)), (x, (torch.arange(1000) % 50 == 0).long()))


@question("Validation accuracy is too good to be true", "DAT005")
def validation_rows_from_training() -> dict[str, Any]:
    x, y = table()
    return split((x, y), (x[:64].clone(), y[:64]), Model(mlp()))


@question("Validation loss is huge from the first epoch", "DAT015")
def validation_without_the_scaler() -> dict[str, Any]:
    (x, y), (val_x, val_y) = table(), table(96, seed=1)
    return split((x, y), (20 * val_x + 50, val_y), Model(mlp()))


@question("Validation images forgot Normalize", "DAT015")
def validation_images_in_another_range() -> dict[str, Any]:
    x, y = images()
    return split(((x - 0.5) / 0.5, y), images(64), Model(convolutions()))


@question("OpenCV or PIL: accuracy drops at test time", "DAT015")
def channels_in_the_opposite_order() -> dict[str, Any]:
    x, y = images()
    tinted = x * torch.tensor([1.0, 0.6, 0.2])[:, None, None]
    return split((tinted, y), (tinted.flip(1)[:64], y[:64]), Model(convolutions()))


@question("Validation accuracy is exactly zero", "DAT015")
def validation_classes_from_one() -> dict[str, Any]:
    (x, y), (val_x, val_y) = table(), table(96, seed=1)
    return split((x, y), (val_x, val_y + 1), Model(mlp(8, 4)))


@question("Do I have to permute images for a Conv2d?", "DAT017", "DOC001")
def colors_last() -> dict[str, Any]:
    x, y = images()
    return on(Model(convolutions(16)), (x.permute(0, 2, 3, 1).contiguous(), y))


@question("view(N, 3, H, W) of images that have their colors last", "DAT017")
def colors_moved_by_a_view() -> dict[str, Any]:
    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = convolutions()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.view(len(x), 3, 16, 16))

    x, y = images()
    return on(Model(Viewing()), (x.permute(0, 2, 3, 1).contiguous(), y))


@question("All my images are black", "DAT018")
def images_divided_twice_as_integers() -> dict[str, Any]:
    x, y = images()
    return on(Model(convolutions()), ((x.mul(255).byte() // 255 // 2).float(), y))


@question("Embedding: index out of range in self", "DOC001")
def a_vocabulary_that_is_too_small() -> dict[str, Any]:
    net = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(48, 2))
    return on(Model(net), (torch.randint(0, 20, (64, 6)), torch.arange(64) % 2))


@question("ValueError: Expected more than 1 value per channel when training", "DAT010")
def a_last_batch_of_one_row() -> dict[str, Any]:
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    return on(Model(net), table(257))


@question("Test accuracy 100 %, production far lower", "DAT012")
def test_rows_in_the_training_set() -> dict[str, Any]:
    x, y = table()
    rows = TensorDataset(x, y)
    return on(Model(mlp()), (x, y)) | {
        "train_dataloaders": DataLoader(Subset(rows, range(200)), 32, shuffle=True),
        "test_dataloaders": DataLoader(Subset(rows, range(150, 256)), 32),
    }


@question("Val loss rises while training loss falls", "RUN006")
def a_large_net_on_forty_rows() -> dict[str, Any]:
    x, _ = table(48)
    val_x, _ = table(200, seed=1)
    draw = torch.Generator().manual_seed(0)
    labels, val_labels = (torch.randint(0, 3, (count,), generator=draw) for count in (48, 200))
    model = Model(mlp(8, 3, 256), tune=lambda params: torch.optim.Adam(params, 3e-3))
    return split((x, labels), (val_x, val_labels), model, fit={"max_epochs": 40})


@question("BatchNorm: validation changes my running statistics", "BEH005")
def validation_in_training_mode() -> dict[str, Any]:
    class Training(Model):
        def validation_step(self, batch: Any, index: int) -> None:
            self.train()
            super().validation_step(batch, index)

    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    return split(table(), table(64, seed=1), Training(net), fit={"max_epochs": 1})


@question("Pixels divided by 255 in the data set and again in the model", "DAT001")
def pixels_scaled_twice() -> dict[str, Any]:
    x, y = images()
    return on(Model(convolutions()), (x / 255, y))


@question("The loss falls to 0 at once, and every prediction is the same", "DAT018")
def a_data_set_that_ignores_the_index() -> dict[str, Any]:
    class First(Dataset):
        def __len__(self) -> int:
            return 256

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return x[0], y[0]

    x, y = table()
    return {"model": Model(mlp()), "train_dataloaders": DataLoader(First(), 32, shuffle=True)}


@question("100 % accuracy after one epoch, useless on new data", "DAT019")
def the_target_among_the_features() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp(9)), (torch.cat([x, y[:, None].float()], 1), y))


@question("All labels are 0 by mistake", "DAT008")
def one_class_in_all_rows() -> dict[str, Any]:
    x, y = table()
    return on(Model(mlp()), (x, torch.zeros_like(y)))


@question("fit ends at once without training", "DOC001")
def fewer_rows_than_a_batch_with_drop_last() -> dict[str, Any]:
    return {"model": Model(mlp()), "train_dataloaders": loader(*table(20), drop_last=True)}
