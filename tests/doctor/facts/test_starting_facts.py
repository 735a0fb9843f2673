"""The loss of the best constant prediction, for each form of a mean error, and for no other loss."""

from collections.abc import Callable

import pytest
import torch
from patient import Step, numbers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from lightning_tricks.doctor.facts.run_facts import StartFact
from lightning_tricks.doctor.facts.starting_facts import starting_facts
from lightning_tricks.doctor.tracing.examine import examine

X, Y = numbers(64)
VARIANCE = float(Y.var(correction=0))
DEVIATION = float((Y - Y.median()).abs().mean())


def start(loss: Callable[[Tensor, Tensor], Tensor], **loading: object) -> StartFact:
    loader = DataLoader(TensorDataset(X, Y), 16, **loading)
    return starting_facts(examine(Step(nn.Linear(8, 1), loss), next(iter(loader)), train_dataloaders=loader))


SQUARES = {
    "mse_loss": F.mse_loss,
    "written out": lambda pred, y: (pred - y).pow(2).mean(),
    "operator": lambda pred, y: ((y - pred) ** 2).mean(),
    "square": lambda pred, y: torch.square(pred - y).mean(),
}


@pytest.mark.parametrize("loss", SQUARES.values(), ids=SQUARES)
def test_of_a_mean_square_error_it_is_the_variance(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = start(loss)
    assert found.guess == pytest.approx(VARIANCE, rel=1e-5)
    assert found.guess_is == "the mean target"


@pytest.mark.parametrize("loss", [F.l1_loss, lambda pred, y: (pred - y).abs().mean()])
def test_of_a_mean_absolute_error_it_is_the_distance_from_the_median(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = start(loss)
    assert found.guess == pytest.approx(DEVIATION, rel=1e-2)
    assert found.guess_is == "the median target"


OTHERS = {
    "sum": lambda pred, y: F.mse_loss(pred, y, reduction="sum"),
    "scaled target": lambda pred, y: F.mse_loss(pred, y / 10),
    "scaled loss": lambda pred, y: 0.5 * F.mse_loss(pred, y),
    "another error": F.smooth_l1_loss,
    "broadcast": lambda pred, y: F.mse_loss(pred, y.expand(16, 3)),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", OTHERS.values(), ids=OTHERS)
def test_of_another_loss_it_is_unknown(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert start(loss).guess is None


def test_of_a_sampler_with_weights_it_is_unknown() -> None:
    assert start(F.mse_loss, sampler=WeightedRandomSampler([1.0] * 64, 64)).guess is None


def test_hidden_activations_are_those_between_layers_without_gates() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.gate, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 1)
            self.act = nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act(self.body(x)) + x * torch.sigmoid(self.gate(x)))

    loader = DataLoader(TensorDataset(X, Y), 16)
    sequential = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    assert starting_facts(examine(Step(sequential, F.mse_loss), next(iter(loader)))).hidden == ("tanh net.1",)
    assert starting_facts(examine(Step(Gated(), F.mse_loss), next(iter(loader)))).hidden == ()
