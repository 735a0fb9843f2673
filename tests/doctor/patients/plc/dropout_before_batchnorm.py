"""Patients of the rules on dropout before batch norms; `test_provenance.py` has the ways in which the noise travels."""

import torch
from patient import Calling, healthy, sick
from torch import nn


def rows(n: int = 64) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(0))


@sick("PLC001", "Dropout (p = 0.5)", "BatchNorm1d 1", "directly", "0.5")
def half_the_variance_at_test() -> dict:
    return {"model": nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8)), "batch": rows(1024)}


@sick("PLC001", "2 times", severity="warning")
def two_blocks_in_one_finding() -> dict:
    blocks = [nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 8)) for _ in range(2)]
    return {"model": nn.Sequential(*blocks), "batch": rows()}


@sick("PLC001", "Dropout2d", severity="warning")
def channels() -> dict:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Dropout2d(0.3), nn.ReLU(), nn.AvgPool2d(2), nn.BatchNorm2d(4))
    return {"model": model, "batch": torch.randn(16, 1, 4, 4)}


@sick("PLC001", "not verified", "no batch was given", severity="info")
def registration_order_without_a_batch() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.ReLU(), nn.BatchNorm1d(8))}


@healthy("PLC001")
def registration_order_the_other_way() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 8))}


@sick("PLC002", "through linear", "× that in training", severity="warning")
def behind_weights() -> dict:
    return {"model": nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 8), nn.BatchNorm1d(8)), "batch": rows()}


@sick("PLC002", severity="info")
def small_rate_behind_weights() -> dict:
    return {"model": nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 8), nn.BatchNorm1d(8)), "batch": rows()}


@healthy("PLC002")
def straight_is_another_rule() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.BatchNorm1d(8)), "batch": rows()}


class Residual(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.fc, self.drop, self.norm = nn.Linear(8, 8), nn.Dropout(p), nn.BatchNorm1d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.drop(self.fc(x)))


@sick("PLC003", "through add", severity="info")
def residual() -> dict:
    return {"model": Residual(0.1), "batch": rows()}


@sick("PLC003", "× that in training", severity="warning")
def residual_that_is_nearly_all_dropped() -> dict:
    return {"model": Residual(0.9), "batch": rows()}


@healthy("PLC003")
def nothing_is_added() -> dict:
    return {"model": nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8)), "batch": rows()}


@sick("PLC003", "through lstm", severity="info")
def behind_a_recurrent_layer() -> dict:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return net.norm(net.head(net.rnn(net.drop(x))[0]).transpose(1, 2))

    layers = {"drop": nn.Dropout(0.5), "rnn": nn.LSTM(8, 8, batch_first=True), "head": nn.Linear(8, 4)}
    return {"model": Calling(forward, **layers, norm=nn.BatchNorm1d(4)), "batch": rows().view(16, 4, 8)}


@sick("PLC003", "through matmul", severity="info")
def values_of_attention() -> dict:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        mixed = (x @ x.transpose(1, 2)).softmax(-1) @ net.drop(x)
        return net.norm(net.head(mixed).transpose(1, 2))

    layers = {"drop": nn.Dropout(0.5), "head": nn.Linear(8, 4), "norm": nn.BatchNorm1d(4)}
    return {"model": Calling(forward, **layers), "batch": rows().view(16, 4, 8)}
