"""Maxout: the largest of its linear pieces."""

from typing import Any

import pytest
import torch

from lightning_tricks import Maxout


@pytest.mark.parametrize("shape", [(5, 6), (5, 3, 6), (6,)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_each_unit_is_the_largest_of_its_pieces(shape: tuple[int, ...], pieces: int) -> None:
    layer, x = Maxout(6, 4, pieces), torch.randn(shape)
    weight, bias = layer.linear.weight.view(4, pieces, 6), layer.linear.bias.view(4, pieces)
    expected = torch.stack([(weight[:, j] @ x.unsqueeze(-1)).squeeze(-1) + bias[:, j] for j in range(pieces)]).amax(0)
    assert layer(x).shape == (*shape[:-1], 4)
    torch.testing.assert_close(layer(x), expected)


def test_two_pieces_can_be_an_absolute_value() -> None:
    layer = Maxout(1, 1, bias=False)
    layer.linear.weight.data = torch.tensor([[1.0], [-1.0]])
    assert layer(torch.tensor([[-3.0], [2.0]])).flatten().tolist() == [3, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 4), ValueError, "`in_features` must be at least 1"),
        ((4, 0), ValueError, "`out_features` must be at least 1"),
        ((4, 4, 0), ValueError, "`pieces` must be at least 1, got 0"),
        ((4, 4, 2.0), TypeError, "`pieces` must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Maxout(*arguments)
