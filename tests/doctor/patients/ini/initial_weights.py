"""Patients of the rules on how weights are drawn."""

import torch
from doctor_inputs import batch, lit, net
from healthy_nets import Fixup, careful, mlp
from patient import Calling, healthy, sick
from torch import nn


def drawn(change: str, index: int = 0, value: float = 0.0) -> nn.Sequential:
    """A net one of whose layers was drawn in another way."""
    model = net(hidden=16)
    weight = model[index].weight
    with torch.no_grad():
        if change == "constant":
            weight.fill_(value)
        elif change == "equal rows":
            weight.copy_(weight[:1].expand_as(weight))
        elif change == "copies":
            weight[8:] = weight[:1]
        elif change == "scaled":
            weight.mul_(value)
    return model


@sick("INI001", "Linear's weight is 0 everywhere", severity="error")
def hidden_zeros() -> dict:
    return {"model": lit(drawn("constant")), "batch": batch()}


@sick("INI001", "is 0.5 everywhere", severity="error")
def hidden_constant_without_a_batch() -> dict:
    return {"model": drawn("constant", value=0.5)}


@sick("INI001", "all 16 rows", severity="error")
def equal_rows() -> dict:
    return {"model": drawn("equal rows")}


@sick("INI001", "LSTM's weight_ih_l0", severity="error")
def recurrent_zeros() -> dict:
    model = nn.Sequential(nn.LSTM(4, 8), nn.Linear(8, 2))
    nn.init.zeros_(model[0].weight_ih_l0)
    return {"model": model}


@sick("INI001", "can move away", severity="info")
def output_layer_of_zeros() -> dict:
    return {"model": lit(careful(4, 3)), "batch": batch()}


@sick("INI001", "is 0.25 everywhere", severity="info")
def outputs_that_start_as_the_mean() -> dict:
    model = nn.Sequential(nn.Linear(4, 3))
    nn.init.constant_(model[0].weight, 0.25)
    return {"model": lit(model), "batch": batch()}


@sick("INI001", severity="info")
def residual_end_of_zeros() -> dict:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), Fixup(8), nn.Flatten(), nn.Linear(128, 2))
    return {"model": model, "batch": (torch.randn(4, 1, 6, 6),)}


@sick("INI001", severity="info")
def residual_end_of_zeros_without_a_batch() -> dict:
    return {"model": nn.Sequential(nn.Conv2d(1, 8, 3), Fixup(8), nn.Flatten(), nn.Linear(128, 2))}


@sick("INI001", severity="info")
def couplings_of_a_flow() -> dict:
    def couple(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        fixed, moved = x.chunk(2, 1)
        scale, shift = net.last(net.first(fixed).relu()).chunk(2, 1)
        return net.head(torch.cat([fixed, moved * scale.tanh().exp() + shift], 1))

    last = nn.Linear(8, 4)
    nn.init.zeros_(last.weight)
    return {"model": lit(Calling(couple, first=nn.Linear(2, 8), last=last, head=nn.Linear(4, 3))), "batch": batch()}


@healthy("INI001")
def frozen_filter_and_drawn_layers() -> dict:
    blur = nn.Conv2d(1, 2, 3)
    nn.init.constant_(blur.weight, 1 / 9)
    blur.requires_grad_(False)
    return {"model": nn.Sequential(blur, nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Embedding(4, 4))}


@sick("INI002", "50%", "Linear's weight")
def units_that_are_copies() -> dict:
    model = drawn("copies")
    with torch.no_grad():
        model[0].weight[1] = model[0].weight[0]
    return {"model": model}


@healthy("INI002")
def each_unit_its_own() -> dict:
    return {"model": nn.Sequential(net(), nn.Conv2d(4, 4, 1, groups=4), nn.Embedding(9, 3, padding_idx=0))}


@sick("INI003", "std · sqrt(4)", "outside [0.35, 5.7]")
def large_weights_before_relu() -> dict:
    return {"model": lit(drawn("scaled", value=30.0)), "batch": batch()}


@sick("INI003", "std · sqrt(4)")
def small_weights_without_a_batch() -> dict:
    return {"model": drawn("scaled", value=0.01)}


@sick("INI003", "the outputs' std goes from", "beyond × 10")
def growth_over_the_net() -> dict:
    model = mlp(64, 64, 64, 64)(16, 3)
    for layer in model[1:-1:2]:
        nn.init.normal_(layer.weight, std=4 / layer.in_features**0.5)
    return {"model": lit(model), "batch": batch(columns=16)}


@sick("INI003", "std · sqrt(16)", severity="info")
def small_weights_of_a_residual_branch() -> dict:
    branch = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
    for layer in branch[::2]:
        nn.init.normal_(layer.weight, std=1e-3)
    first, head = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        h = net.first(x)
        return net.head(h + net.branch(h))

    return {"model": lit(Calling(forward, first=first, branch=branch, head=head)), "batch": batch()}


@healthy("INI003")
def pytorchs_own_draw() -> dict:
    return {"model": lit(mlp(64, 64, 64, 64)(16, 3)), "batch": batch(columns=16)}


@healthy("INI003")
def scale_does_not_matter_under_norms() -> dict:
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 3))
    nn.init.normal_(model[0].weight, std=0.001)
    return {"model": lit(model), "batch": batch()}


@healthy("INI003")
def recurrent_and_transposed_layers_are_drawn_by_other_widths() -> dict:
    return {"model": nn.Sequential(nn.LSTM(8, 256), nn.ConvTranspose1d(16, 256, 3), nn.Bilinear(64, 64, 8), net())}


@sick("INI004", "bias of 3", severity="info")
def large_hidden_bias() -> dict:
    model = net()
    nn.init.constant_(model[0].bias, 3.0)
    return {"model": model}


@healthy("INI004")
def prior_in_the_output_and_forget_gates() -> dict:
    model = nn.Sequential(nn.LSTM(4, 4), net())
    nn.init.constant_(model[1][2].bias, -4.6)
    nn.init.constant_(model[0].bias_ih_l0, 2.0)
    return {"model": model}


class Bayesian(nn.Module):
    """A linear layer whose weights are drawn in each pass, all with the same deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_mu = nn.Parameter(torch.randn(3, 4))
        self.weight_log_sigma = nn.Parameter(torch.full((3, 4), -2.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight_mu + self.weight_log_sigma.exp() * torch.randn_like(self.weight_mu)
        return nn.functional.linear(x, weight)


@healthy("INI001")
def deviations_that_are_equal() -> dict:
    return {"model": lit(Bayesian()), "batch": batch()}
