"""Patients of the rules on activations."""

import torch
from doctor_inputs import batch, lit, net
from healthy_nets import Gated, Recurrent, mlp
from patient import Calling, Step, classes, healthy, sick
from torch import Tensor, nn
from torch.nn import functional as F


def with_bias(act: nn.Module, value: float) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 16), act, nn.Linear(16, 3))
    nn.init.constant_(model[0].bias, value)
    return model


def ending_in(act: nn.Module) -> nn.Sequential:
    return nn.Sequential(net(outputs=1), act)


def squared(preds: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(preds.squeeze(1), y)


def regression(low: float, high: float) -> tuple[Tensor, Tensor]:
    x, _ = batch()
    return x, torch.linspace(low, high, len(x))


@sick("ACT001", "2 hidden sigmoids")
def sigmoids_between_layers() -> dict:
    return {"model": lit(mlp(8, 8, act=nn.Sigmoid)(4, 3)), "batch": batch()}


@sick("ACT001", "4 hidden tanhs")
def many_tanhs() -> dict:
    return {"model": lit(mlp(8, 8, 8, 8, act=nn.Tanh)(4, 3)), "batch": batch()}


@healthy("ACT001")
def a_layer_that_is_called_again_and_again() -> dict:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            x = x + 0.1 * net.back(torch.tanh(net.there(x)))
        return net.head(x)

    net = Calling(forward, there=nn.Linear(8, 16), back=nn.Linear(16, 8), head=nn.Linear(8, 3))
    return {"model": Step(net), "batch": classes()}


@healthy("ACT001")
def attention_that_is_called_in_each_step() -> dict:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state, keys = x, net.keys(x)
        for _ in range(6):
            state = net.state(state) + net.score(torch.tanh(net.query(state) + keys)) * x
        return net.head(state)

    layers = {"query": nn.Linear(8, 8), "keys": nn.Linear(8, 8), "score": nn.Linear(8, 1), "state": nn.Linear(8, 8)}
    return {"model": Step(Calling(forward, **layers, head=nn.Linear(8, 3))), "batch": classes()}


@healthy("ACT001")
def gates() -> dict:
    return {"model": lit(nn.Sequential(Gated(4, 8), Gated(8, 3))), "batch": batch()}


@healthy("ACT001")
def recurrent_cells() -> dict:
    x, y = torch.randn(32, 5, 8), torch.arange(32) % 3
    return {"model": lit(Recurrent(nn.LSTM, 3)), "batch": (x, y)}


@healthy("ACT001")
def norms_before_them() -> dict:
    return {"model": lit(mlp(8, 8, act=nn.Sigmoid, norm=nn.LayerNorm)(4, 3)), "batch": batch()}


@sick("ACT002", "100% of the units of this sigmoid")
def sigmoids_at_their_limit() -> dict:
    return {"model": lit(with_bias(nn.Sigmoid(), 20.0)), "batch": batch()}


@sick("ACT002", "of this tanh")
def tanhs_at_their_limits() -> dict:
    return {"model": lit(with_bias(nn.Tanh(), -20.0)), "batch": batch()}


@healthy("ACT002")
def tanhs_in_their_slope() -> dict:
    return {"model": lit(with_bias(nn.Tanh(), 0.0)), "batch": batch()}


@sick("ACT003", "100% of the units of this relu", severity="warning")
def dead_units() -> dict:
    return {"model": lit(with_bias(nn.ReLU(), -50.0)), "batch": batch()}


@sick("ACT003", severity="info")
def dead_on_a_few_samples() -> dict:
    return {"model": lit(with_bias(nn.ReLU(), -50.0)), "batch": batch(8)}


@healthy("ACT003")
def living_units() -> dict:
    return {"model": lit(mlp(32, 32, 32)(4, 3)), "batch": batch()}


@sick("ACT004", "of mse_loss's targets are outside the range [0, ∞) of relu", severity="error")
def relu_before_negative_targets() -> dict:
    return {"model": lit(ending_in(nn.ReLU()), squared), "batch": regression(-1, 1)}


@sick("ACT004", "the range [0, 1] of sigmoid")
def sigmoid_before_large_targets() -> dict:
    return {"model": lit(ending_in(nn.Sigmoid()), squared), "batch": regression(0, 9)}


@healthy("ACT004")
def sigmoid_before_shares() -> dict:
    return {"model": lit(ending_in(nn.Sigmoid()), squared), "batch": regression(0, 1)}


@healthy("ACT004")
def linear_output() -> dict:
    return {"model": lit(net(outputs=1), squared), "batch": regression(-9, 9)}


@sick("ACT005", "of 16 units feeds", severity="warning")
def a_softmax_in_the_middle() -> dict:
    model = nn.Sequential(nn.Linear(4, 16), nn.Softmax(1), nn.Linear(16, 3))
    return {"model": lit(model), "batch": batch()}


@healthy("ACT005")
def a_softmax_that_chooses_from_a_codebook() -> dict:
    model = nn.Sequential(nn.Linear(4, 16), nn.Softmax(1), nn.Linear(16, 3, bias=False))
    return {"model": lit(model), "batch": batch()}


@healthy("ACT005")
def a_softmax_that_weights_features() -> dict:
    class Selected(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x * self.scores(x).softmax(1))

    return {"model": lit(Selected()), "batch": batch()}


@healthy("ACT005")
def attention_whose_heads_are_mixed() -> dict:
    class TalkingHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            scores = self.before(x[:, :, None] * x[:, None, :]).permute(0, 2, 1)
            return self.head(self.after(scores.softmax(-1).permute(0, 2, 1)).mean(1))

    return {"model": lit(TalkingHeads()), "batch": batch()}
