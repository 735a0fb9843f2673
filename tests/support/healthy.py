"""Healthy programs: ordinary architectures, optimizers and data with typical settings, on which the doctor is to keep
quiet. They are what people write; nothing in them was chosen with a look at a rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import lightning as L
import sklearn.datasets
import torch
from healthy_nets import (
    Block,
    ByHand,
    Fixup,
    Gated,
    Mixer,
    Net,
    Recurrent,
    Transformer,
    careful,
    cnn,
    mlp,
    on_frozen_features,
    orthogonal,
    resnet,
    separable,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Tuning = Callable[[list[nn.Parameter]], Any]


@dataclass(frozen=True)
class Program:
    name: str
    build: Callable[[], dict[str, Any]]
    """Returns the arguments of `diagnose`."""


class Lit(L.LightningModule):
    """A net, a loss and an optimizer, as in the first page of every tutorial."""

    def __init__(self, net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], tuning: Tuning) -> None:
        super().__init__()
        self.net, self.loss, self.tuning = net, loss, tuning

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return self.loss(self(x), y)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.step(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("val_loss", self.step(batch))

    def configure_optimizers(self) -> Any:
        return self.tuning([p for p in self.parameters() if p.requires_grad])


# --- data -----------------------------------------------------------------------------------------------------------


@cache
def _table(name: str) -> tuple[Tensor, Tensor]:
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32)
    if name == "digits":
        return x / 16, torch.tensor(y)
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-6)
    y = torch.tensor(y)
    return x, ((y - y.mean()) / y.std()).float() if name == "diabetes" else y


@cache
def _made(name: str) -> tuple[Tensor, Tensor]:
    arguments = {"n_samples": 600, "random_state": 0}
    x, y = getattr(sklearn.datasets, f"make_{name}")(**arguments)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def data(name: str) -> tuple[Tensor, Tensor]:
    if name == "images":
        x, y = _table("digits")
        return (x.view(-1, 1, 8, 8) - 0.3) / 0.38, y
    if name == "rows":
        return _table("digits")[0].view(-1, 8, 8), _table("digits")[1]
    return _made(name) if name in ("moons", "blobs", "classification") else _table(name)


def loaders(x: Tensor, y: Tensor, batch_size: int, drop_last: bool) -> dict[str, Any]:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, val = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    return {
        "train_dataloaders": DataLoader(
            TensorDataset(x[train], y[train]), batch_size, shuffle=True, drop_last=drop_last
        ),
        "val_dataloaders": DataLoader(TensorDataset(x[val], y[val]), batch_size),
    }


# --- optimizers -----------------------------------------------------------------------------------------------------


def _decay_by_kind(params: list[nn.Parameter]) -> Any:
    groups = [{"params": [p for p in params if p.dim() > 1], "weight_decay": 0.05},
              {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, lr=3e-4)


def _one_cycle(params: list[nn.Parameter]) -> Any:
    sgd = torch.optim.SGD(params, 0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(sgd, max_lr=0.1, total_steps=500)
    return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _warm_up(params: list[nn.Parameter]) -> Any:
    adam = torch.optim.AdamW(params, 1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: min(1.0, step / 100))
    return [adam], [{"scheduler": schedule, "interval": "step"}]


def _cosine(params: list[nn.Parameter]) -> Any:
    sgd = torch.optim.SGD(params, 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return [sgd], [torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 20)]


TUNINGS: dict[str, Tuning] = {
    "adam": lambda params: torch.optim.Adam(params, 1e-3),
    "sgd": lambda params: torch.optim.SGD(params, 0.01, momentum=0.9),
    "adamw": lambda params: torch.optim.AdamW(params, 1e-3),
    "cosine": _cosine,
    "no-decay": _decay_by_kind,
    "rmsprop": lambda params: torch.optim.RMSprop(params, 1e-3),
    "one-cycle": _one_cycle,
    "adagrad": lambda params: torch.optim.Adagrad(params, 1e-2),
    "warm-up": _warm_up,
    "adadelta": lambda params: torch.optim.Adadelta(params),
    "plain-sgd": lambda params: torch.optim.SGD(params, 0.1),
    "nadam": lambda params: torch.optim.NAdam(params),
    "adam-decay": lambda params: torch.optim.Adam(params, 3e-4, weight_decay=1e-4),
    "adamax": lambda params: torch.optim.Adamax(params),
    "radam": lambda params: torch.optim.RAdam(params),
    "amsgrad": lambda params: torch.optim.Adam(params, 1e-3, betas=(0.9, 0.99), amsgrad=True),
}


# --- programs -------------------------------------------------------------------------------------------------------


def _binary(logits: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits[:, 0], y.float())


def _smoothed(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, label_smoothing=0.1)


def _squared(preds: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(preds[:, 0], y)


def _huber(preds: Tensor, y: Tensor) -> Tensor:
    return F.smooth_l1_loss(preds.squeeze(-1), y)


CE = F.cross_entropy
# name, net, data, outputs, loss
TASKS: list[tuple[str, Net, str, int, Callable[[Tensor, Tensor], Tensor]]] = [
    ("logistic", mlp(), "iris", 3, CE),
    ("mlp", mlp(64), "digits", 10, CE),
    ("mlp-deep", mlp(128, 64, 32), "digits", 10, CE),
    ("mlp-wine", mlp(32, 32), "wine", 3, CE),
    ("mlp-gelu", mlp(64, 64, act=nn.GELU), "digits", 10, _smoothed),
    ("mlp-tanh", mlp(32, 32, act=nn.Tanh), "moons", 2, CE),
    ("mlp-selu", mlp(32, 32, 32, act=nn.SELU), "breast_cancer", 1, _binary),
    ("mlp-elu", mlp(64, 64, act=nn.ELU), "blobs", 3, CE),
    ("mlp-leaky", mlp(64, 64, 64, 64, act=nn.LeakyReLU), "classification", 2, CE),
    ("mlp-sigmoid", mlp(32, act=nn.Sigmoid), "iris", 3, CE),
    ("mlp-batchnorm", mlp(64, 64, norm=nn.BatchNorm1d), "digits", 10, CE),
    ("mlp-layernorm", mlp(64, 64, 64, norm=nn.LayerNorm, drop=0.2), "digits", 10, CE),
    ("mlp-dropout", mlp(128, 128, drop=0.5), "digits", 10, CE),
    ("mlp-silu", mlp(64, 64, act=nn.SiLU), "breast_cancer", 2, CE),
    ("linear-regression", mlp(), "diabetes", 1, _squared),
    ("regression", mlp(64, 64), "diabetes", 1, _squared),
    ("regression-huber", mlp(32, 32, act=nn.GELU), "diabetes", 1, _huber),
    ("cnn", cnn, "images", 10, CE),
    ("resnet", resnet(Block), "images", 10, CE),
    ("fixup", resnet(Fixup), "images", 10, CE),
    ("separable", separable, "images", 10, CE),
    ("lstm", lambda i, o: Recurrent(nn.LSTM, o), "rows", 10, CE),
    ("gru", lambda i, o: Recurrent(nn.GRU, o), "rows", 10, CE),
    ("transformer", lambda i, o: Transformer(o, norm_first=True), "rows", 10, CE),
    ("transformer-post", lambda i, o: Transformer(o, norm_first=False), "rows", 10, CE),
    ("mixer", lambda i, o: Mixer(o), "rows", 10, CE),
    ("gated", Gated, "breast_cancer", 2, CE),
    ("by-hand", ByHand, "digits", 10, CE),
    ("careful", careful, "digits", 10, CE),
    ("orthogonal", orthogonal, "wine", 3, CE),
    ("frozen-features", on_frozen_features, "digits", 10, CE),
]


class Autoencoder(Lit):
    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, _ = batch
        return F.mse_loss(self(x), x)


class Variational(Lit):
    """Encodes into means and log-variances, samples, decodes; the loss has a divergence as a second term."""

    def __init__(self, net: nn.Module, loss: Any, tuning: Tuning) -> None:
        super().__init__(net, loss, tuning)
        self.decoder = mlp(64)(8, 64)

    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, _ = batch
        mean, log_var = self(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        divergence = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum(1).mean()
        return F.binary_cross_entropy_with_logits(self.decoder(z), x) + 0.001 * divergence


class Adversarial(L.LightningModule):
    """Two nets, two optimizers, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = mlp(64)(16, 64), mlp(64, act=nn.LeakyReLU)(64, 1)

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(m.parameters(), 2e-4, betas=(0.5, 0.999)) for m in (self.generator, self.critic)]

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        x, _ = batch
        fake = torch.sigmoid(self.generator(torch.randn(len(x), 16)))
        for optimizer, pairs in zip(self.optimizers(), ([(fake, 1.0)], [(x, 1.0), (fake.detach(), 0.0)]), strict=True):
            losses = [F.binary_cross_entropy_with_logits(self.critic(a), torch.full((len(x), 1), b)) for a, b in pairs]
            optimizer.zero_grad()
            self.manual_backward(sum(losses))
            optimizer.step()


class Words(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(17, 16, padding_idx=0), nn.Linear(16, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids).mean(1))


def _each_class_apart(logits: Tensor, y: Tensor) -> Tensor:
    return F.multilabel_soft_margin_loss(logits, F.one_hot(y, logits.shape[1]))


def _focal(logits: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, y, reduction="none")
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


def _others() -> dict[str, tuple[Callable[[Tuning], nn.Module], tuple[Tensor, Tensor]]]:
    digits = data("digits")
    return {
        "autoencoder": (lambda t: Autoencoder(mlp(32, 8, 32)(64, 64), None, t), digits),
        "variational": (lambda t: Variational(mlp(64)(64, 16), None, t), digits),
        "adversarial": (lambda t: Adversarial(), digits),
        "words": (lambda t: Lit(Words(10), CE, t), ((digits[0] * 16).long(), digits[1])),
        "multi-label": (lambda t: Lit(mlp(64)(64, 10), _each_class_apart, t), digits),
        "focal": (lambda t: Lit(mlp(64)(64, 10), _focal, t), digits),
        "plain-module": (lambda t: mlp(64)(64, 10), digits),
    }


BATCH_SIZES = (32, 64, 16, 128)


def programs(tunings_each: int = 3) -> Iterator[Program]:
    """Each task with some of the optimizers, in turn, so that all of them occur about equally often."""
    names = list(TUNINGS)
    for i, (task, net, source, outputs, loss) in enumerate(TASKS):
        for k in range(tunings_each):
            tuning = names[(i * 5 + k * 7) % len(names)]
            size = BATCH_SIZES[(i + k) % len(BATCH_SIZES)]

            def build(
                task=task, net=net, source=source, outputs=outputs, loss=loss, tuning=tuning, size=size, seed=i
            ) -> Any:
                torch.manual_seed(seed)
                x, y = data(source)
                model = Lit(net(x[0].numel(), outputs), loss, TUNINGS[tuning])
                return {"model": model, **loaders(x, y, size, drop_last="batchnorm" in task)}

            yield Program(f"{task}-{tuning}-{size}", build)
    for i, (task, (make, (x, y))) in enumerate(_others().items()):
        for k in range(tunings_each):
            tuning = names[(i * 5 + k * 7 + 3) % len(names)]

            def build_other(task=task, make=make, x=x, y=y, tuning=tuning) -> Any:
                torch.manual_seed(0)
                if task == "plain-module":
                    return {"model": make(TUNINGS[tuning]), "batch": x[:32]}
                return {"model": make(TUNINGS[tuning]), **loaders(x, y, 64, drop_last=False)}

            yield Program(f"{task}-{tuning}", build_other)
