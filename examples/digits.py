"""Datasets included in scikit-learn, and small plain modules for them; no trick is used here."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy, R2Score


class Tabular(L.LightningDataModule):
    """Split 60/20/20 with a fixed seed, and normalize with the mean and standard deviation of the training set."""

    over: tuple[int, ...] = (0,)
    """Dimensions over which the mean and the standard deviation are computed."""

    def __init__(self, batch_size: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets of the whole dataset."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        x, y = self.read()
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))
        train, val, test = order.tensor_split([len(x) * 6 // 10, len(x) * 8 // 10])
        x = (x - x[train].mean(self.over)) / x[train].std(self.over)
        self.train, self.val, self.test = (TensorDataset(x[rows], y[rows]) for rows in (train, val, test))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, 256)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.test, 256)


class Digits(Tabular):
    """1,797 images (N, 1, 8, 8) and their classes 0 to 9; one mean for all pixels, as usual for images."""

    over = (0, 1, 2, 3)

    def read(self) -> tuple[Tensor, Tensor]:
        images, classes = load_digits(return_X_y=True)
        return torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(classes)


class Diabetes(Tabular):
    """442 patients (N, 10) and the progression of their disease, scaled to about one."""

    def read(self) -> tuple[Tensor, Tensor]:
        measurements, progression = load_diabetes(return_X_y=True)
        return torch.tensor(measurements, dtype=torch.float32), torch.tensor(progression / 100, dtype=torch.float32)


class Learner(L.LightningModule):
    """A network, a loss, a metric and an optimizer: SGD, or the result of ``optimizer(parameters)``.

    ``scheduler`` is Lightning's scheduler configuration, whose entry ``scheduler`` is a function of the optimizer.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: Any,
        metric: Any,
        metric_name: str,
        lr: float,
        momentum: float = 0.9,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.loss, self.metric_name = net, loss, metric_name
        self.val_metric, self.test_metric = metric, metric.clone()
        self.lr, self.momentum, self.optimizer, self.scheduler = lr, momentum, optimizer, scheduler

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val", self.val_metric)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test", self.test_metric)

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str, metric: Any) -> None:
        outputs = self(batch[0])
        metric(outputs, batch[1])
        self.log(f"{stage}_loss", self.loss(outputs, batch[1]), prog_bar=stage == "val", sync_dist=True)
        self.log(f"{stage}_{self.metric_name}", metric, prog_bar=stage == "val")

    def configure_model(self) -> None:
        if type(self.trainer.strategy).__name__ == "ModelParallelStrategy" and not hasattr(self, "_sharded"):
            torch.distributed.fsdp.fully_shard(self.net, mesh=self.device_mesh["data_parallel"])
            self._sharded = True

    def configure_optimizers(self) -> Any:
        if self.optimizer is None:
            return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=self.momentum)
        optimizer = self.optimizer(self.parameters())
        if not self.scheduler:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {**self.scheduler, "scheduler": self.scheduler["scheduler"](optimizer)},
        }


class CNN(Learner):
    """Two convolutions with BatchNorm, with ``width`` and ``2 * width`` channels."""

    def __init__(self, lr: float = 0.1, width: int = 16, **options: Any) -> None:
        wide = 2 * width
        net = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4 * wide, 10),
        )  # fmt: skip
        super().__init__(net, F.cross_entropy, Accuracy("multiclass", num_classes=10), "accuracy", lr, **options)


class Rows(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 48, batch_first=True), nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.squeeze(1))[0][:, -1])


class RowLSTM(Learner):
    """A classifier of images with the LSTM over rows."""

    def __init__(self, lr: float = 0.1, **options: Any) -> None:
        super().__init__(Rows(), F.cross_entropy, Accuracy("multiclass", num_classes=10), "accuracy", lr, **options)


class Regressor(Learner):
    """One hidden layer, trained with the mean squared error."""

    def __init__(self, lr: float = 0.01, **options: Any) -> None:
        net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))
        super().__init__(net, F.mse_loss, R2Score(), "r2", lr, **options)
