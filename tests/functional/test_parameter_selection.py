"""Parameter selection: patterns choose weights; biases and norms must be named."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from lightning_tricks.functional.parameter_selection import find_biases_and_norms, select_weights


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.rnn = nn.LSTM(4, 4)
        self.attention = nn.MultiheadAttention(4, 1)
        self.slope = nn.Parameter(torch.zeros(3))
        self.head = nn.Linear(4, 5)
        self.head.weight = self.embed.weight


WEIGHTS = [
    "slope", "embed.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "attention.in_proj_weight",
    "attention.out_proj.weight",
]  # fmt: skip


def test_by_default_all_but_biases_and_norms_are_selected_and_a_tied_weight_once() -> None:
    assert list(select_weights(Model())) == WEIGHTS


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["rnn.*"], (), ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]),
        (["rnn.*", "rnn.bias_hh_l0", "norm.weight"], (), ["norm.weight", *WEIGHTS[2:4], "rnn.bias_hh_l0"]),
        (["head.weight"], (), ["embed.weight"]),
        (["*"], ["head.weight", "*.weight_*", "attention.*"], ["slope"]),
    ],
)
def test_patterns_select_by_any_name_of_a_weight(include: Any, exclude: Any, expected: list[str]) -> None:
    assert sorted(select_weights(Model(), include, exclude)) == sorted(expected)


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        (["hed.*"], (), "`include`: 'hed.\\*' matches no parameter of Model"),
        (["norm.*"], (), "`include`: 'norm.\\*' .* must be named without a wildcard"),
        (["*"], ["hed.*"], "`exclude`: 'hed.\\*' matches no parameter of Model .* Its parameters: slope, embed.weight"),
        (["head.*"], ["embed.*"], "select no parameter of Model"),
    ],
)
def test_a_pattern_without_effect_is_refused(include: Any, exclude: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select_weights(Model(), include, exclude)


def test_a_parametrized_bias_is_a_bias_and_a_parametrized_weight_a_weight() -> None:
    layer = weight_norm(nn.Linear(2, 3))
    nn.utils.parametrize.register_parametrization(layer, "bias", nn.Identity())
    assert sorted(select_weights(layer)) == [f"parametrizations.weight.original{i}" for i in (0, 1)]
    assert len(find_biases_and_norms(layer)) == 1


def test_a_name_with_brackets_is_matched_by_itself() -> None:
    net = nn.Module()
    net.register_parameter("a[0]_bias", nn.Parameter(torch.ones(1)))
    assert list(select_weights(net, ["a[[]0]_bias"])) == ["a[0]_bias"]
