"""The twelve faults of the gallery in the README of torchtest2 0.1.0, in programs of our own."""

from typing import Any

import torch
import torch.nn.functional as F
from fault import fault
from of_models import Forward
from question import Model, loader, mlp, on, table
from torch import Tensor, nn

from lightning_tricks.doctor.facts.contracts import Contracts

PEER = "torchtest2"


class OptimizedEarly(Model):
    """A model that builds its optimizer in the constructor and replaces its head after that."""

    def __init__(self) -> None:
        super().__init__(mlp(outputs=100))
        self.optimizer = torch.optim.AdamW(self.net.parameters(), 1e-3)
        self.net[2] = nn.Linear(32, 3)

    def configure_optimizers(self) -> Any:
        return self.optimizer


class WrongSquare(torch.autograd.Function):
    """The square, with half of its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x


class LearnedNoise(nn.Module):
    """Noise with a learned variance, which may become negative while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.variance = nn.Linear(8, 3), nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.body(x)
        std = torch.where(self.variance > 0, self.variance.sqrt(), 0.0)
        return self.body(x) + std * torch.randn(len(x), 3)


def sequences() -> Tensor:
    return torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0))


@fault(PEER, "1", "the optimizer is built before the head is replaced", "OPT004")
def an_optimizer_of_the_old_head() -> dict[str, Any]:
    return on(OptimizedEarly(), table())


@fault(PEER, "2", "the graph is cut between two layers", "BEH008")
def cut_by_data() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(net.body(x).relu().data), body=nn.Linear(8, 32), head=nn.Linear(32, 3))
    return on(Model(net), table())


@fault(PEER, "3", "attention over the batch instead of the sequence", "BEH002")
def attention_over_samples() -> dict[str, Any]:
    net = Forward(lambda net, x: net.out(net.attention(x, x, x)[0]), attention=nn.MultiheadAttention(16, 4),
                  out=nn.Linear(16, 16))  # fmt: skip
    x = sequences()
    return on(Model(net, F.mse_loss), (x, x.flip(2)))


@fault(PEER, "3", "an LSTM over the batch instead of the sequence", "BEH002")
def lstm_over_samples() -> dict[str, Any]:
    net = Forward(lambda net, x: net.out(net.lstm(x)[0]), lstm=nn.LSTM(16, 16), out=nn.Linear(16, 16))
    x = sequences()
    return on(Model(net, F.mse_loss), (x, x.flip(2)))


@fault(PEER, "4", "half of the features are sliced away", "BEH009")
def one_tower_twice() -> dict[str, Any]:
    net = Forward(lambda net, x: (net.left(x[:, :4]) * net.right(x[:, :4])).sum(1), left=nn.Linear(4, 8),
                  right=nn.Linear(4, 8))  # fmt: skip
    x, _ = table()
    return on(Model(net, F.mse_loss), (x, x[:, 0] * x[:, 5]))


@fault(PEER, "5", "the attention mask is not read", "BEH009")
def padding_is_averaged_in() -> dict[str, Any]:
    net = Forward(lambda net, ids, mask: net.head(net.words(ids).mean(1)), words=nn.Embedding(50, 16, padding_idx=0),
                  head=nn.Linear(16, 3))  # fmt: skip
    ids = torch.randint(1, 50, (64, 10), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[::2, 5:] = 0
    return on(Model(net), (ids * mask, mask, ids[:, 0] % 3))


@fault(PEER, "6", "a part that is meant to be frozen trains", "CON001")
def a_backbone_that_is_not_frozen() -> dict[str, Any]:
    return on(Model(mlp()), table(), contracts=Contracts(frozen=["net.0.*"]))


@fault(PEER, "7", "a non-finite gradient of a finite loss", "NUM002")
def distances_to_itself() -> dict[str, Any]:
    def distances(net: Any, x: Tensor) -> Tensor:
        z = net.body(x)
        return (z[:, None] - z).pow(2).sum(-1).sqrt()

    x, _ = table(32)
    return on(Model(Forward(distances, body=nn.Linear(8, 4)), F.mse_loss), (x, torch.cdist(x, x)))


@fault(PEER, "8", "too confident at the start", "INI005")
def large_last_weights() -> dict[str, Any]:
    net = mlp(width=256, outputs=10)
    nn.init.normal_(net[2].weight, std=1.0)
    x, _ = table()
    return on(Model(net), (x, torch.randint(10, (256,), generator=torch.Generator().manual_seed(0))))


@fault(PEER, "9", "dropout that stays active in eval mode", "PLC009")
def functional_dropout() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(F.dropout(net.body(x).relu(), 0.2)), body=nn.Linear(8, 32),
                  head=nn.Linear(32, 3))  # fmt: skip
    return on(Model(net), table())


@fault(PEER, "10", "a loss for each sample instead of one number", "LOS013")
def a_loss_that_is_not_reduced() -> dict[str, Any]:
    return on(Model(mlp(), nn.CrossEntropyLoss(reduction="none")), table())


@fault(PEER, "10", "a loss without a graph", "LOS010")
def a_loss_from_item() -> dict[str, Any]:
    return on(Model(mlp(), lambda out, y: torch.tensor(F.cross_entropy(out, y).item(), requires_grad=True)), table())


@fault(PEER, "10", "a learning rate that is far too low", "OPT001")
def a_tiny_rate() -> dict[str, Any]:
    return on(Model(mlp(), tune=lambda parameters: torch.optim.SGD(parameters, 1e-5)), table())


@fault(PEER, "11", "a gradient that becomes non-finite in training", "NUM002")
def variance_below_zero() -> dict[str, Any]:
    model = Model(LearnedNoise(), tune=lambda parameters: torch.optim.SGD(parameters, 0.1))
    x, y = table(16)
    return {"model": model, "train_dataloaders": loader(x, y, batch_size=16), "fit": {"max_steps": 100}}


@fault(PEER, "12", "a wrong backward pass of a custom function", "GRD001")
def half_of_a_derivative() -> dict[str, Any]:
    net = Forward(lambda net, x: net.head(WrongSquare.apply(x)), head=nn.Linear(8, 3))
    return on(Model(net), table())
