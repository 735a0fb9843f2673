"""Healthy trainings: real data, ordinary settings, enough epochs for trends to show; the doctor is to keep quiet."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import lightning as L
import torch
from healthy import CE, TUNINGS, Adversarial, Autoencoder, Lit, Tuning, _binary, _smoothed, _squared, data, loaders
from healthy_nets import Net, Recurrent, cnn, mlp
from torch import nn


class Training(NamedTuple):
    name: str
    fit: Callable[..., None]
    """Takes callbacks."""


def _stepwise(optimizer: Any, schedule: Any) -> Any:
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _restarts(params: list[nn.Parameter]) -> Any:
    adamw = torch.optim.AdamW(params, 1e-3)
    return _stepwise(adamw, torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(adamw, 60))


def _restarts_of_sgd(params: list[nn.Parameter]) -> Any:
    sgd = torch.optim.SGD(params, 0.1, momentum=0.9)
    return _stepwise(sgd, torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(sgd, 30))


def _cyclic(params: list[nn.Parameter]) -> Any:
    sgd = torch.optim.SGD(params, 0.01, momentum=0.9)
    return _stepwise(sgd, torch.optim.lr_scheduler.CyclicLR(sgd, 0.005, 0.1, step_size_up=25))


def _halving(params: list[nn.Parameter]) -> Any:
    sgd = torch.optim.SGD(params, 0.1)
    return [sgd], [torch.optim.lr_scheduler.StepLR(sgd, 5, 0.5)]


def _fast_adam(params: list[nn.Parameter]) -> Any:
    return torch.optim.Adam(params, 1e-2)


def _rows(inputs: int, outputs: int) -> nn.Module:
    return Recurrent(nn.GRU, outputs)


# name, net, data, outputs, loss, optimizer, batch size, epochs, arguments of the Trainer
_RUNS: list[tuple[str, Net, str, int, Any, Tuning, int, int, dict[str, Any]]] = [
    ("plain SGD", mlp(64), "digits", 10, CE, TUNINGS["plain-sgd"], 32, 7, {}),
    ("warm restarts", mlp(64, 64), "digits", 10, CE, _restarts, 64, 10, {}),
    ("restarts of SGD", mlp(64, norm=nn.BatchNorm1d), "digits", 10, CE, _restarts_of_sgd, 64, 10, {}),
    ("cyclic rate", mlp(32), "breast_cancer", 2, CE, _cyclic, 32, 20, {}),
    ("rate that halves", mlp(64), "digits", 10, _smoothed, _halving, 32, 7, {}),
    ("dropout", mlp(128, 128, drop=0.5), "digits", 10, CE, TUNINGS["adamw"], 64, 10, {}),
    ("overfits early", mlp(64, 64), "breast_cancer", 1, _binary, _fast_adam, 32, 25, {}),
    ("overfits regression", mlp(64, 64), "diabetes", 1, _squared, TUNINGS["adam"], 32, 40, {}),
    ("linear regression", mlp(), "diabetes", 1, _squared, TUNINGS["sgd"], 32, 25, {}),
    ("little to learn", mlp(), "diabetes", 1, _squared, TUNINGS["sgd"], 8, 6, {}),
    ("logistic", mlp(), "breast_cancer", 2, CE, TUNINGS["plain-sgd"], 16, 10, {}),
    ("whole set a batch", mlp(32), "wine", 3, CE, TUNINGS["adam"], 256, 220, {}),
    ("slow start", mlp(32, act=nn.Sigmoid), "iris", 3, CE, TUNINGS["adam"], 16, 30, {}),
    ("deep tanh", mlp(32, 32, 32, act=nn.Tanh), "moons", 2, CE, TUNINGS["cosine"], 32, 20, {}),
    ("convolutions", cnn, "images", 10, CE, TUNINGS["warm-up"], 64, 5, {}),
    ("recurrent", _rows, "rows", 10, CE, TUNINGS["adam"], 64, 5, {}),
    ("accumulation", mlp(64), "digits", 10, CE, TUNINGS["adamw"], 16, 4, {"accumulate_grad_batches": 4}),
    ("half precision", mlp(64), "digits", 10, CE, TUNINGS["adamw"], 64, 8, {"precision": "bf16-mixed"}),
    ("clipped", mlp(64, 64), "digits", 10, CE, TUNINGS["sgd"], 32, 5, {"gradient_clip_val": 1.0}),
    ("checks in mid-epoch", mlp(64), "digits", 10, CE, TUNINGS["adam"], 32, 5, {"val_check_interval": 0.25}),
]


_QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "max_epochs": 6,
    "log_every_n_steps": 10,
}


def trainings() -> Iterator[Training]:
    for name, net, source, outputs, loss, tuning, size, epochs, arguments in _RUNS:

        def model(net=net, source=source, outputs=outputs, loss=loss, tuning=tuning) -> Any:
            return Lit(net(data(source)[0][0].numel(), outputs), loss, tuning)

        yield Training(name, _fit(model, source, size, {"max_epochs": epochs, **arguments}))
    yield Training("autoencoder", _fit(lambda: Autoencoder(mlp(16)(64, 64), None, TUNINGS["adam"]), "digits", 64, {}))
    yield Training("adversarial", _fit(Adversarial, "digits", 64, {}))


def _fit(make: Callable[[], Any], source: str, size: int, arguments: dict[str, Any]) -> Callable[..., None]:
    def fit(*callbacks: Any) -> None:
        torch.manual_seed(0)
        L.Trainer(**_QUIET | arguments, callbacks=list(callbacks)).fit(make(), **loaders(*data(source), size, False))

    return fit
