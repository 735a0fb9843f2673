"""Losses between representations: pairs of rows, and two domains."""

import torch
from torch import Tensor

from lightning_tricks.core.arguments import check_number


def contrastive_loss(a: Tensor, b: Tensor, same: Tensor, *, margin: float = 1.0) -> Tensor:
    r"""Half the squared distance of similar pairs, and half the squared shortfall of dissimilar pairs from the margin.

    .. math:: \ell = \frac{1}{N} \sum_i
        \tfrac{1}{2} s_i D_i^2 + \tfrac{1}{2} (1 - s_i) \max(0, m - D_i)^2, \quad D_i = \lVert a_i - b_i \rVert_2

    The gradient of a pair whose two rows coincide is zero.

    Args:
        a: ``(N, D)`` first rows of the pairs.
        b: ``(N, D)`` second rows.
        same: ``(N,)`` 1 or True where a pair is similar, 0 or False where it is not (the paper's Y is ``1 - same``).
        margin: distance beyond which dissimilar pairs no longer count, > 0, in the units of the rows.

    Returns:
        A scalar ``()``: the mean over pairs.

    Raises:
        ValueError: shapes that do not match, no pairs, or a margin that is not > 0.

    Example:
        >>> a, b = torch.tensor([[0.0], [0.0]]), torch.tensor([[2.0], [0.5]])
        >>> contrastive_loss(a, b, torch.tensor([True, False]))
        tensor(1.0625)

    References:
        Hadsell, Chopra & LeCun, Dimensionality reduction by learning an invariant mapping, 2006, eq. 4.
    """
    check_number("margin", margin, 0, low_open=True)
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] == 0:
        raise ValueError(
            f"`a` and `b` must both have shape (N, D) with N >= 1, got {tuple(a.shape)} and {tuple(b.shape)}."
        )
    if same.shape != a.shape[:1]:
        raise ValueError(f"`same` must have shape ({a.shape[0]},), one entry per pair, got {tuple(same.shape)}.")
    distance: Tensor = torch.linalg.vector_norm(a - b, dim=1)
    similar = same.to(distance.dtype)
    terms = similar * distance.square() + (1 - similar) * (margin - distance).clamp(min=0).square()
    return terms.mean() / 2


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    r"""Squared distance between the covariances of two domains' features.

    .. math:: \ell = \frac{1}{4 d^2} \lVert C_S - C_T \rVert_F^2

    Added to the loss on labeled source rows, it aligns a layer's features of both domains; target rows need no
    labels. It aligns second moments only, not means. Half-precision features are computed in float32.

    Args:
        source: ``(N, d)`` features of the source domain, N >= 2.
        target: ``(M, d)`` features of the target domain, M >= 2.

    Returns:
        A scalar ``()``, with gradients for both.

    Raises:
        ValueError: shapes that do not match, or fewer than two rows.

    Example:
        >>> source = torch.tensor([[-1.0], [1.0]])  # variance 2
        >>> coral_loss(source, 2 * source)  # variance 8
        tensor(9.)

    References:
        Sun & Saenko, Deep CORAL: correlation alignment for deep domain adaptation, 2016, eq. 1 to 3.
    """
    if source.ndim != 2 or target.ndim != 2 or source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"`source` and `target` must have shapes (N, d) and (M, d), got {tuple(source.shape)} and "
            f"{tuple(target.shape)}; flatten them with `.flatten(1)`."
        )
    if min(len(source), len(target)) < 2:
        raise ValueError(f"A covariance needs at least 2 rows per domain, got {len(source)} and {len(target)}.")
    with torch.autocast(source.device.type, enabled=False):
        difference = _covariance(source) - _covariance(target)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(rows: Tensor) -> Tensor:
    rows = rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
    centered = rows - rows.mean(0)
    return centered.T @ centered / (len(rows) - 1)
