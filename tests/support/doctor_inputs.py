"""What patients are made of: a module with an optimizer, loaders over a few rows."""

from collections.abc import Callable
from typing import Any

import torch
from healthy import Lit
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Loss = Callable[[Tensor, Tensor], Tensor]


def adam(params: list[nn.Parameter]) -> Any:
    return torch.optim.Adam(params, 1e-3)


def lit(net: nn.Module, loss: Loss = F.cross_entropy, tuning: Callable[..., Any] = adam) -> Lit:
    return Lit(net, loss, tuning)


def net(inputs: int = 4, hidden: int = 8, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def with_optimizer(make: Callable[[Any], Any], model: nn.Module | None = None) -> dict[str, Any]:
    """A healthy net, and the optimizer that is looked at; `make` is given all parameters."""

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model if model is not None else net()

        def configure_optimizers(self) -> Any:
            return make(list(self.parameters()))

    return {"model": Tuned()}


def rows(count: int = 64, columns: int = 4, classes: int = 3) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, columns, generator=generator)
    return TensorDataset(x, torch.randint(classes, (count,), generator=generator))


def batch(count: int = 64, columns: int = 4, classes: int = 3) -> tuple[Tensor, Tensor]:
    return rows(count, columns, classes).tensors


def loader(dataset: Any = None, size: int = 16, **arguments: Any) -> DataLoader:
    arguments.setdefault("shuffle", "sampler" not in arguments)
    return DataLoader(rows() if dataset is None else dataset, size, **arguments)


def on_loader(*arguments: Any, model: nn.Module | None = None, **others: Any) -> dict[str, Any]:
    return {"model": model if model is not None else lit(net()), "train_dataloaders": loader(*arguments, **others)}
