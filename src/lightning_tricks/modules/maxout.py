"""Maxout: a linear layer whose units are the largest of several linear pieces."""

from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_flag


class Maxout(nn.Module):
    r"""Return, for each unit, the largest of ``pieces`` linear functions of the input.

    .. math:: h_i(x) = \max_{j} (x^T W_{\cdot i j} + b_{i j})

    It needs no activation after it and is often combined with dropout on its inputs.

    Shape: ``(*, in_features)`` to ``(*, out_features)``.

    Args:
        in_features: size of the last dimension of the input, > 0.
        out_features: number of units, > 0.
        pieces: number of linear pieces per unit, >= 1; typically 2 to 5 (1 is a linear layer).
        bias: whether each piece has a bias.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    References:
        Goodfellow, Warde-Farley, Mirza, Courville & Bengio, Maxout networks, 2013, section 3.

    Example:
        >>> import torch
        >>> Maxout(8, 4, pieces=3)(torch.ones(2, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_features: int, out_features: int, pieces: int = 2, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features = check_count("in_features", in_features, 1, 2**31)
        self.out_features = check_count("out_features", out_features, 1, 2**31)
        self.pieces = check_count("pieces", pieces, 1, 2**31)
        self.linear = nn.Linear(in_features, out_features * pieces, bias=check_flag("bias", bias))

    def forward(self, values: Tensor) -> Tensor:
        """Return the largest piece of each unit."""
        return self.linear(values).unflatten(-1, (self.out_features, self.pieces)).amax(-1)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the number of units and pieces, for ``repr``."""
        return f"out_features={self.out_features}, pieces={self.pieces}"
