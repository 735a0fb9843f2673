"""Locked dropout: one mask for all steps of a sequence."""

import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

from lightning_tricks.core.arguments import check_flag, check_number


class LockedDropout(_DropoutNd):
    """Drop the same features in every step of a sequence, with a different mask for each row.

    Use it between recurrent layers, whose state would otherwise be disturbed by new noise in each step.

    Shape: ``(N, L, C)`` with ``batch_first``, otherwise ``(L, N, C)``, to the same shape.

    Args:
        p: probability that a feature is dropped, in [0, 1); typically 0.2 to 0.5.
        batch_first: whether rows are in dimension 0 and steps in dimension 1.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: ``p`` is outside [0, 1); in ``forward``, the input is not three-dimensional.

    References:
        Gal & Ghahramani, A theoretically grounded application of dropout in recurrent neural networks, 2016, section 4.

    Example:
        >>> dropped = LockedDropout(0.5)(torch.ones(2, 7, 4))
        >>> bool((dropped == dropped[:, :1]).all())
        True
    """

    def __init__(self, p: float = 0.5, *, batch_first: bool = True) -> None:
        super().__init__(check_number("p", p, 0, 1, high_open=True))
        self.batch_first = check_flag("batch_first", batch_first)

    def forward(self, values: Tensor) -> Tensor:
        """Return the input with features dropped in training mode, unchanged in evaluation mode."""
        if values.ndim != 3:
            raise ValueError(f"`LockedDropout` expects a three-dimensional sequence, got shape {tuple(values.shape)}.")
        if not self.training or not self.p:
            return values
        mask = torch.empty_like(values[:, :1] if self.batch_first else values[:1])
        return values * mask.bernoulli_(1 - self.p).div_(1 - self.p)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"p={self.p}, batch_first={self.batch_first}"
