"""Patients of the rule on samples that are mixed."""

from typing import Any

import torch
from foreign_table import on_table
from patient import Calling, Step, classes, healthy, sick
from torch import nn


def rows() -> torch.Tensor:
    return classes()[0]


def calling(function: Any) -> dict:
    return {"model": Calling(function, fc=nn.Linear(8, 3)), "batch": rows()}


def sequences(function: Any, shape: tuple[int, ...] = (16, 6, 8), **parts: nn.Module) -> dict:
    net = Calling(function, head=nn.Linear(8, 3), **parts)
    return {"model": Step(net), "batch": (torch.randn(shape), classes()[1])}


@sick("BEH002", "eval mode", severity="error")
def wrong_view() -> dict:
    return calling(lambda net, x: net.fc(x.T.reshape(len(x), 8)))


@sick("BEH002", severity="error")
def softmax_over_the_batch() -> dict:
    return calling(lambda net, x: net.fc(x).softmax(0))


@sick("BEH002", "batch_first=False", "16 samples of [16, 6, 8]", severity="error")
def samples_taken_for_time() -> dict:
    return sequences(lambda net, x: net.head(net.rnn(x)[0][:, -1]), rnn=nn.GRU(8, 8))


@sick("BEH002", "multi_head_attention_forward")
def attention_over_the_samples() -> dict:
    return sequences(lambda net, x: net.head(net.mha(x, x, x)[0].mean(1)), mha=nn.MultiheadAttention(8, 2))


@sick("BEH002", "batch_first=False", severity="info")
def attention_over_rows_that_may_be_steps() -> dict:
    return {
        "model": Calling(lambda net, x: net.mha(x, x, x)[0], mha=nn.MultiheadAttention(8, 2)),
        "batch": torch.randn(4, 6, 8),
    }


@sick("BEH002", severity="error")
def reshape_in_place_of_a_transpose() -> dict:
    return sequences(lambda net, x: net.head(x.transpose(0, 1).reshape(16, -1, 8)[:, -1]))


@sick("BEH002", "another order")
def a_bias_for_each_place_in_the_batch() -> dict:
    return calling(lambda net, x: net.fc(x) + torch.arange(len(x))[:, None])


@healthy("BEH002")
def right_view() -> dict:
    return calling(lambda net, x: net.fc(x.view(len(x), 2, 4).flatten(1)))


@healthy("BEH002")
def norm_in_eval_mode() -> dict:
    return {"model": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)), "batch": rows()}


@healthy("BEH002")
def encoder() -> dict:
    return {"model": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), "batch": torch.randn(4, 3, 8)}


@healthy("BEH002")
def sequences_first_with_a_transpose() -> dict:
    return sequences(lambda net, x: net.head(net.rnn(x.transpose(0, 1))[0][-1]), rnn=nn.GRU(8, 8))


@healthy("BEH002")
def layers_left_out_at_random_in_eval_mode() -> dict:
    """Passes in eval mode are nearly always alike: what one sample changes is told by passes that draw the same."""
    return calling(lambda net, x: net.fc(x + (x.sin() if torch.rand(()) < 0.01 else 0)))


@healthy("BEH002")
def samples_in_a_table_of_another_library() -> dict:
    return on_table()
