"""Input normalizer: a layer that standardizes a model's inputs with statistics of the training rows."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_number
from lightning_tricks.functional.batch_entries import Key, Path, find_input, named_entry, read_entry
from lightning_tricks.functional.feature_statistics import (
    FeatureStatistics,
    check_dim,
    measure_features,
    merge_features,
    name_features,
    nonfinite_features,
    normalize_features,
)


class InputNormalizer(nn.Module):
    """Subtract the mean of each feature and divide by its standard deviation.

    The statistics are buffers, so that a checkpoint alone is sufficient for inference. They are set by :meth:`fit_`, or
    by the callback ``NormalizeInputs`` before the first training step; before that, the layer changes only the dtype of
    its input.

    Shape: ``(N, *)`` to the same shape. Integers are converted to floating point; half precision is computed in
        float32.

    Args:
        num_features: number of features or channels, > 0.
        dim: dimension of the features, not 0; 1 for tables ``(N, C)`` and images ``(N, C, H, W)``, -1 for sequences
            ``(N, L, C)``.
        eps: features with a smaller standard deviation are only centered, > 0.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        >>> normalizer = InputNormalizer(2).fit_([x])
        >>> normalizer(x)
        tensor([[-1., -1.],
                [ 1.,  1.]])
    """

    mean: Tensor
    std: Tensor
    num_rows: Tensor

    def __init__(self, num_features: int, *, dim: int = 1, eps: float = 1e-6) -> None:
        super().__init__()
        self.num_features = check_count("num_features", num_features, 1, 2**31)
        self.dim = check_feature_dim(dim)
        self.eps = check_number("eps", eps, 0, low_open=True)
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))
        self.register_buffer("num_rows", torch.zeros((), dtype=torch.long))

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return normalized values; where ``mask`` is false (padding), values are unchanged."""
        check_dim(values, self.dim)
        if values.shape[self.dim] != self.num_features:
            raise ValueError(
                f"`InputNormalizer` has num_features={self.num_features} in dimension {self.dim}, got an input of "
                f"shape {tuple(values.shape)}."
            )
        return normalize_features(values, self.mean, self.std, self.dim, self.eps, mask)

    @torch.no_grad()
    def set_statistics_(self, statistics: FeatureStatistics) -> None:
        """Load measured statistics.

        Raises:
            ValueError: they have a different number of features.
        """
        if len(statistics.mean) != self.num_features:
            raise ValueError(
                f"`InputNormalizer` has num_features={self.num_features}, but the input has {len(statistics.mean)} "
                "features."
            )
        self.mean.copy_(statistics.mean)
        self.std.copy_(statistics.std)
        self.num_rows.fill_(statistics.count)

    def fit_(
        self,
        loader: Iterable[Any],
        *,
        key: int | str | None = None,
        mask: int | str | None = None,
        limit_batches: int | None = None,
    ) -> "InputNormalizer":
        """Measure the rows of a loader in one pass and store their statistics.

        Args:
            loader: batches, each a tensor, tuple, list or mapping.
            key: the entry of the input; ``None``: the first floating-point tensor.
            mask: the entry that is true where the input is not padding; ``None``: no padding.
            limit_batches: read at most this many batches; ``None``: all.

        Returns:
            The normalizer itself.

        Raises:
            ValueError: the loader is empty, or an input is sparse, not finite, or has a different number of features.
        """
        limit = None if limit_batches is None else check_count("limit_batches", limit_batches, 1)
        parts = _measured(islice(loader, limit), key, mask, self.dim)
        self.set_statistics_(check_statistics(merge_features(parts), "the loader"))
        return self

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.num_features}, dim={self.dim}, eps={self.eps:g}"


def _measured(batches: Iterable[Any], key: Key | None, mask: Key | None, dim: int) -> Iterator[FeatureStatistics]:
    is_empty = True
    earlier: Path | None = None
    for batch in batches:
        is_empty = False
        path = find_input(batch, key, earlier)
        if path is not None:
            earlier = path
            yield measure_features(read_entry(batch, path), dim, named_entry(batch, mask))
    if is_empty:
        raise ValueError("The loader is empty: there are no rows to compute a mean and a standard deviation from.")


def check_statistics(statistics: FeatureStatistics, source: str) -> FeatureStatistics:
    """Return statistics, checked for use in a division.

    Args:
        statistics: the statistics of all rows.
        source: the origin of the rows, for the message.

    Raises:
        ValueError: there are no rows, or some are not finite; the message names the features.
    """
    if not statistics.count:
        raise ValueError(f"There are no rows in {source} to compute a mean and a standard deviation from.")
    features = nonfinite_features(statistics)
    if features:
        raise ValueError(
            f"The input must be finite, got NaN or infinity in {name_features(features)} of {source}. Replace them in "
            "the dataset, or give `mask` if they are padding."
        )
    return statistics


def check_feature_dim(dim: object) -> int:
    """Return ``dim`` if it can be the dimension of the features.

    Raises:
        TypeError: not a whole number.
        ValueError: 0, the dimension of the rows, or too large.
    """
    checked = check_count("dim", dim, -64, 64)
    if checked == 0:
        raise ValueError("`dim` must be the dimension of the features, not 0, which is that of the rows.")
    return checked
