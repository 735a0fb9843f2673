"""Synthetic rows: copies of rows with noise, and rows drawn from the distribution of each class."""

from collections.abc import Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_tricks.core.arguments import check_count, check_number
from lightning_tricks.data.checked_rows import as_classes, as_table, as_tensor
from lightning_tricks.data.first_entry import first_entry, with_first_entry


class NoisyCopies(Dataset[Any]):
    """The rows of a dataset, followed by copies of them with noise on their inputs.

    *Use when* there are few rows and small changes of an input do not change its target. Split first: copies of a
    validation row in training would leak it. Standardize inputs first, or choose a scale that fits their noise.

    The noise of a copy is normal, with ``scale`` times each feature's own standard deviation (dividing by n) over the
    dataset; constant features get none. A copy is the same in each epoch, worker and process. Construction reads the
    dataset once.

    Args:
        dataset: map-style; a row is a floating-point input, or a tuple, list or mapping with such an input as its first
            entry; inputs have the same shape in all rows.
        copies: copies of each row, >= 1; typically 1 to 5.
        scale: standard deviation of the noise as a share of the feature's, > 0; typically 0.01 to 0.1.
        seed: seed of the noise.

    Raises:
        TypeError: the inputs are not floating-point, or the dataset has no length.
        ValueError: there are no rows, inputs of several shapes, or NaN values, or an argument is out of range.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.tensor([[0.0], [2.0]]), torch.tensor([0, 1]))
        >>> noisy = NoisyCopies(data, copies=2)
        >>> len(noisy), noisy[1][0].item(), [noisy[i][1].item() for i in range(6)]
        (6, 2.0, [0, 1, 0, 1, 0, 1])
    """

    def __init__(self, dataset: Any, *, copies: int = 1, scale: float = 0.1, seed: int = 0) -> None:
        self.dataset = dataset
        self.copies = check_count("copies", copies, 1)
        self.scale = check_number("scale", scale, 0, low_open=True)
        self.seed = check_count("seed", seed, 0)
        if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__"):
            raise TypeError(f"`dataset` must be map-style, with a length, got {type(dataset).__name__}.")
        if len(dataset) == 0:
            raise ValueError("`dataset` must have at least one row, got 0.")
        self.std = _standard_deviation(dataset)

    def __len__(self) -> int:
        return len(self.dataset) * (1 + self.copies)

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} rows, got index {index}.")
        index %= len(self)
        row = self.dataset[index % len(self.dataset)]
        if index < len(self.dataset):
            return row
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % 2**63)
        noise = torch.randn(self.std.shape, generator=generator, dtype=torch.float64) * self.std * self.scale
        given = first_entry(row)
        inputs = torch.as_tensor(given)
        noisy = inputs + noise.to(inputs.dtype)
        return with_first_entry(row, noisy if isinstance(given, Tensor) else noisy.numpy())


def _standard_deviation(dataset: Any) -> Tensor:
    """Return the standard deviation of each feature over the rows, in one pass (Welford 1962)."""
    mean = squares = torch.zeros(())
    for i in range(len(dataset)):
        inputs = _floating(first_entry(dataset[i]), i)
        if i and inputs.shape != mean.shape:
            raise ValueError(
                f"All inputs of `dataset` must have one shape, got {tuple(mean.shape)} and, in row {i}, "
                f"{tuple(inputs.shape)}; crop or pad them first."
            )
        if not bool(inputs.isfinite().all()):
            raise ValueError(f"`dataset` must be finite, got NaN or infinity in row {i}; drop or fill it.")
        delta = inputs - mean
        mean = mean + delta / (i + 1)
        squares = squares + delta * (inputs - mean)
    return (squares / len(dataset)).sqrt()


def _floating(value: Any, row: int) -> Tensor:
    if isinstance(value, Tensor) or hasattr(value, "__array__"):
        inputs = torch.as_tensor(value)
        if inputs.is_floating_point():
            return inputs.double()
        kind = str(inputs.dtype)
    else:
        kind = type(value).__name__
    raise TypeError(
        f"The first entry of each row of `dataset` must be a floating-point tensor or array, got {kind} in row {row}; "
        "convert it first, for instance images to floats in [0, 1]."
    )


def sample_like(x: Any, y: Any, n: int, *, shrinkage: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    r"""Draw new rows from a normal distribution that is fitted to each class.

    .. math:: x \sim \mathcal{N}\big(\mu_c,\; (1 - \lambda) S_c + \lambda\, \mathrm{diag}(S_c)\big)

    with the mean :math:`\mu_c` and the covariance :math:`S_c` (dividing by n - 1) of the rows of the class. The class
    proportions are preserved. Fit it to training rows only, and inspect the new rows before training on them: a class
    with several clusters also gives rows between its clusters.

    Args:
        x: ``(N, *)`` rows of features, at least two per class.
        y: ``(N,)`` their class indices.
        n: total number of rows to draw, >= 1.
        shrinkage: the share of the correlations that is removed, in [0, 1]; with few rows, most correlations are due to
            chance.
        seed: seed of the draw.

    Returns:
        ``(n, *)`` rows with the dtype of ``x`` (float32 if it is not floating-point), and ``(n,)`` their classes,
        sorted by class.

    Raises:
        TypeError: the classes do not have an integer dtype.
        ValueError: there are NaN values, shapes that do not match, a class with a single row, or an argument out of
            range.

    Example:
        >>> x = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
        >>> rows, classes = sample_like(x, torch.tensor([0, 0, 1, 1]), 6)
        >>> rows.shape, classes
        (torch.Size([6, 1]), tensor([0, 0, 0, 1, 1, 1]))
    """
    check_count("n", n, 1)
    check_number("shrinkage", shrinkage, 0, 1)
    check_count("seed", seed, 0)
    given = as_tensor("x", x)
    rows, classes = as_table("x", x, 2), as_classes("y", y)
    if classes.shape != rows.shape[:1]:
        raise ValueError(f"`y` must have shape ({len(rows)},), one class per row, got {tuple(classes.shape)}.")
    counts = classes.bincount()
    lonely = (counts == 1).nonzero().flatten().tolist()
    if lonely:
        raise ValueError(
            f"Each class needs at least 2 rows for a distribution, got 1 of class {', '.join(map(str, lonely[:10]))}; "
            "remove it, or use `NoisyCopies`."
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = _shares(counts, n)
    parts = [
        _draw_normal(rows[classes == label], number, shrinkage, generator)
        for label, number in enumerate(drawn)
        if number
    ]
    dtype = given.dtype if given.is_floating_point() else torch.float32
    labels = torch.arange(len(drawn)).repeat_interleave(torch.tensor(drawn))
    return torch.cat(parts).view(n, *given.shape[1:]).to(dtype), labels


def _shares(counts: Tensor, n: int) -> list[int]:
    """Divide n in proportion to the counts; the largest remainders are rounded up."""
    exact = counts.double() * n / counts.sum()
    taken = exact.floor()
    by_remainder = (taken - exact).sort(stable=True).indices
    taken[by_remainder[: n - int(taken.sum())]] += 1
    return [int(number) for number in taken]


def _draw_normal(rows: Tensor, number: int, shrinkage: float, generator: torch.Generator) -> Tensor:
    """Draw from the rows' normal distribution as random mixtures of the rows, without a d × d matrix."""
    centered = (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5
    options: dict[str, Any] = {"generator": generator, "dtype": rows.dtype}
    correlated = torch.randn(number, len(rows), **options) @ centered
    independent = torch.randn(number, rows.shape[1], **options) * centered.square().sum(0).sqrt()
    drawn: Tensor = rows.mean(0) + (1 - shrinkage) ** 0.5 * correlated + shrinkage**0.5 * independent
    return drawn
