"""Patients of the rules on where dropout stands."""

from typing import Any

import torch
import torch.nn.functional as F
from patient import Calling, Step, classes, healthy, sick
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Cell(nn.Module):
    """A recurrent net by hand: dropout on the state with a new mask each step, with one mask, or on the input."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.cell, self.drop, self.where = nn.LSTMCell(4, 4), nn.Dropout(0.5), where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = (x.new_zeros(len(x), 4), x.new_zeros(len(x), 4))
        mask = F.dropout(torch.ones_like(state[0]), 0.5, self.training)
        for now in x.unbind(1):
            if self.where == "input":
                now = self.drop(now)
            hidden, memory = self.cell(now, state)
            if self.where == "state":
                hidden = self.drop(hidden)
            elif self.where == "mask":
                hidden = hidden * mask
            state = (hidden, memory)
        return state[0]


def sequences() -> torch.Tensor:
    return torch.randn(6, 4, 4)


@sick("PLC004", "Dropout drop (p = 0.5)", "LSTMCell cell", "3 masks in 4 steps", severity="warning")
def new_mask_at_each_step() -> dict:
    return {"model": Cell("state"), "batch": sequences()}


@healthy("PLC004")
def one_mask_for_all_steps() -> dict:
    return {"model": Cell("mask"), "batch": sequences()}


@healthy("PLC004")
def dropped_input() -> dict:
    return {"model": Cell("input"), "batch": sequences()}


@healthy("PLC004")
def dropout_between_recurrent_layers() -> dict:
    return {"model": nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True), "batch": sequences()}


def loader(rows: int) -> Any:
    return DataLoader(TensorDataset(*classes(rows)), batch_size=16)


def dropping(width: int = 8) -> nn.Module:
    return Step(nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 3)))


@sick("PLC006", "100 training rows", "200", severity="warning")
def hundred_rows() -> dict:
    return {"model": dropping(), "train_dataloaders": loader(100)}


@sick("PLC006", "64 units", "300 training rows", severity="info")
def wide_layer() -> dict:
    return {"model": dropping(64), "train_dataloaders": loader(300)}


@healthy("PLC006")
def enough_rows() -> dict:
    return {"model": dropping(), "train_dataloaders": loader(300)}


@healthy("PLC006")
def hundred_rows_without_dropout() -> dict:
    return {"model": Step(nn.Linear(8, 3)), "train_dataloaders": loader(100)}


def mlp(*places: int) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [nn.Dropout(0.5)] if i in places else []
        layers += [nn.Linear(8, 8), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@sick("PLC007", "last 2 of 4 linear layers")
def early_alone() -> dict:
    return {"model": mlp(0), "batch": torch.randn(4, 8)}


@healthy("PLC007")
def late() -> dict:
    return {"model": mlp(3), "batch": torch.randn(4, 8)}


@healthy("PLC007")
def everywhere() -> dict:
    return {"model": mlp(0, 1, 2, 3), "batch": torch.randn(4, 8)}


@sick("PLC008", "`cross_entropy`", "p = 0.3", severity="warning")
def dropped_logits() -> dict:
    return {"model": Step(nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.3))), "batch": classes()}


@sick("PLC008", "the model's output", severity="warning")
def dropped_output_without_a_loss() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.3)), "batch": torch.randn(4, 8)}


@healthy("PLC008")
def dropout_before_the_last_layer() -> dict:
    return {"model": dropping(), "batch": classes()}


@healthy("PLC008")
def an_encoder_that_ends_with_dropout() -> dict:
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Dropout(0.1))
    return {"model": model, "batch": torch.randn(4, 8)}


@sick("PLC014", "Dropout2d (p = 0.2)", "MaxPool2d")
def dropout_then_pool() -> dict:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Dropout2d(0.2), nn.MaxPool2d(2))
    return {"model": model, "batch": torch.randn(4, 1, 8, 8)}


@healthy("PLC014")
def pool_then_dropout() -> dict:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2))
    return {"model": model, "batch": torch.randn(4, 1, 8, 8)}


@healthy("PLC014")
def dropout_then_mean() -> dict:
    return {"model": Calling(lambda net, x: F.dropout(x, 0.2).mean((2, 3))), "batch": torch.randn(4, 1, 8, 8)}


@healthy("PLC006")
def few_sets_of_many_samples() -> dict:
    sets = TensorDataset(torch.randn(30, 50, 4), torch.arange(1500).view(30, 50) % 3)
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    model = Step(layers, lambda logits, y: F.cross_entropy(logits.flatten(0, 1), y.flatten()))
    return {"model": model, "train_dataloaders": DataLoader(sets, 2, shuffle=True)}


@healthy("PLC006")
def one_graph_as_one_row() -> dict:
    """The loader joins rows itself and has no batch size of its own that fits the nodes."""
    nodes = torch.randn(600, 4), torch.arange(600) % 3
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    return {"model": Step(layers), "train_dataloaders": DataLoader([nodes], 1, collate_fn=lambda rows: rows[0])}


@healthy("PLC008")
def dropout_on_weights_of_a_sum() -> dict:
    """Attention by hand: the weights are dropped, what they weigh is not."""

    def attend(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        weights = net.drop(net.score(x.unflatten(1, (4, 2))).exp())
        return (weights * net.value(x.unflatten(1, (4, 2)))).sum(1)

    net = Calling(attend, score=nn.Linear(2, 1), value=nn.Linear(2, 3), drop=nn.Dropout(0.2))
    return {"model": Step(net), "batch": classes()}
