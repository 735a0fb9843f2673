"""Feature statistics: mean and variance of each feature, measured batch by batch and merged in float64."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from lightning_tricks.core.devices import precise_dtype

_SHOWN = 10


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and spread of each feature of some rows.

    Attributes:
        count: number of rows; each pixel of an image is a row.
        mean: ``(C,)`` means, float64.
        m2: ``(C,)`` sums of squared distances from the mean, float64.
    """

    count: int
    mean: Tensor
    m2: Tensor

    @property
    def std(self) -> Tensor:
        """``(C,)`` standard deviations; the divisor is the number of rows."""
        return (self.m2 / max(self.count, 1)).sqrt()


def measure_features(values: Tensor, dim: int = 1, mask: Tensor | None = None) -> FeatureStatistics:
    """Return the statistics of one tensor.

    Args:
        values: ``(N, *)`` numbers, with one dimension for the features.
        dim: the dimension of the features; not 0.
        mask: true where values count, of the shape of ``values`` without ``dim``; ``None`` if all values count.

    Raises:
        ValueError: the dimension does not exist, the tensor is sparse, or the mask has a different shape.

    Example:
        >>> measured = measure_features(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> measured.count, measured.mean.tolist(), measured.std.tolist()
        (2, [2.0, 5.0], [1.0, 0.0])
    """
    if values.layout != torch.strided:
        raise ValueError(
            f"A sparse input ({values.layout}) cannot be normalized, because centering would make it dense."
        )
    check_dim(values, dim)
    values = values.detach().cpu() if precise_dtype(values.device) != torch.float64 else values.detach()
    if mask is not None:
        check_mask(values, dim, mask)
        rows = values.movedim(dim, -1)[mask.to(values.device, torch.bool)]
        values, dim = rows, 1
    features = values.shape[dim]
    count = values.numel() // features if features else 0
    exact = values.to(torch.float64, copy=True)  # which is centered in place
    if not count:
        zeros = exact.new_zeros(features)
        return FeatureStatistics(0, zeros, zeros)
    others = [place for place in range(exact.ndim) if place != dim % exact.ndim]
    mean = exact.mean(others, keepdim=True)
    # `var_mean` follows one running mean per feature and takes ten times as long on images
    m2 = exact.sub_(mean).square_().sum(others)
    return FeatureStatistics(count, mean.flatten(), m2)


def merge_features(parts: Iterable[FeatureStatistics]) -> FeatureStatistics:
    r"""Merge the statistics of disjoint sets of rows.

    .. math::
        \delta = \bar x_B - \bar x_A, \quad \bar x = \bar x_A + \delta \frac{n_B}{n}, \quad
        M = M_A + M_B + \delta^2 \frac{n_A n_B}{n}

    Args:
        parts: at least one.

    Raises:
        ValueError: the parts have different numbers of features.

    References:
        Chan, Golub & LeVeque, Algorithms for computing the sample variance, 1983, equations 2.1.

    Example:
        >>> halves = [measure_features(torch.tensor([[1.0], [2.0]])), measure_features(torch.tensor([[6.0]]))]
        >>> merge_features(halves).mean.tolist()
        [3.0]
    """
    return reduce(_merge_two, parts)


def _merge_two(a: FeatureStatistics, b: FeatureStatistics) -> FeatureStatistics:
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"The number of features changes between batches: {len(a.mean)}, then {len(b.mean)}. Crop or pad the "
            "rows, or give the dimension of the features as `dim`: -1 for sequences (N, L, C)."
        )
    count = a.count + b.count
    if not count:
        return a
    delta, share = b.mean - a.mean, b.count / count
    return FeatureStatistics(count, a.mean + delta * share, a.m2 + b.m2 + delta.square() * (a.count * share))


def nonfinite_features(statistics: FeatureStatistics) -> list[int]:
    """Return the indices of the features that contained NaN or infinite values.

    Example:
        >>> nonfinite_features(measure_features(torch.tensor([[1.0, torch.nan], [2.0, 3.0]])))
        [1]
    """
    return (~(statistics.mean.isfinite() & statistics.m2.isfinite())).nonzero().flatten().tolist()


def normalize_features(
    values: Tensor, mean: Tensor, std: Tensor, dim: int = 1, eps: float = 1e-6, mask: Tensor | None = None
) -> Tensor:
    r"""Return ``(values - mean) / std``, feature by feature; features with ``std < eps`` are only centered.

    Args:
        values: ``(N, *)``; integers are converted to the default floating dtype.
        mean: ``(C,)``.
        std: ``(C,)``.
        dim: the dimension of the features.
        eps: smallest standard deviation that is used as a divisor.
        mask: where false, values are returned unchanged; of the shape of ``values`` without ``dim``.

    Returns:
        A tensor of the shape of ``values``. A floating dtype is kept; half precision is computed in float32.

    Example:
        >>> x = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
        >>> normalize_features(x, mean=torch.tensor([2.0, 5.0]), std=torch.tensor([1.0, 0.0]))
        tensor([[-1.,  0.],
                [ 1.,  0.]])
    """
    dtype = values.dtype if values.is_floating_point() else torch.get_default_dtype()
    exact = torch.promote_types(dtype, torch.float32)
    shape = [1] * values.ndim
    shape[dim] = -1
    divisor = torch.where(std < eps, torch.ones_like(std), std)
    center, scale = (number.to(values.device, exact).view(shape) for number in (mean, divisor))
    normalized = (values.to(exact) - center).div_(scale).to(dtype)  # in place: one new tensor instead of two
    return normalized if mask is None else torch.where(mask.to(torch.bool).unsqueeze(dim), normalized, values.to(dtype))


def check_dim(values: Tensor, dim: int) -> None:
    """Raise an error for a tensor without the feature dimension.

    Raises:
        ValueError: the dimension does not exist.
    """
    if not -values.ndim < dim < values.ndim or dim == 0:
        raise ValueError(f"`dim`={dim} is not a feature dimension of an input of shape {tuple(values.shape)}.")


def check_mask(values: Tensor, dim: int, mask: Tensor) -> None:
    """Raise an error for a mask that does not fit the values.

    Raises:
        ValueError: the shape differs from that of the values without the feature dimension.
    """
    expected = list(values.shape)
    del expected[dim]
    if list(mask.shape) != expected:
        raise ValueError(
            f"`mask` must have the shape of the input without the feature dimension, {tuple(expected)}, got "
            f"{tuple(mask.shape)}."
        )


def name_features(indices: Sequence[int]) -> str:
    """Return feature indices for a message.

    Example:
        >>> name_features([3, 7])
        'features 3, 7'
    """
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"feature{'s' * (len(indices) > 1)} {', '.join(map(str, indices[:_SHOWN]))}{more}"
