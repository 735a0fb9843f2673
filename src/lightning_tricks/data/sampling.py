"""Sampling: weights of classes, and a sampler that draws rows in proportion to weights."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from lightning_tricks.core.arguments import check_count
from lightning_tricks.data.checked_rows import as_classes, as_weights


def class_weights(targets: Any) -> Tensor:
    r"""Return one weight per class such that all classes have the same total weight.

    .. math:: w_c = \frac{N}{C\, n_c}

    so that :math:`w_c n_c` is the same for all classes and the mean over rows is 1, which preserves the scale of the
    loss. For ``weight`` of ``cross_entropy`` and ``focal_loss``; ``class_weights(targets)[targets]`` are the weights of
    the rows for ``weighted_sampler``. Use one of the two, not both.

    Args:
        targets: class indices of the training rows, of any shape: a tensor, an array or a list.

    Returns:
        ``(C,)`` float32, where C is the largest index plus 1.

    Raises:
        TypeError: the targets do not have an integer dtype.
        ValueError: there are no targets, negative targets, one-hot rows, or a class without rows.

    Example:
        >>> class_weights([0, 0, 0, 1])
        tensor([0.6667, 2.0000])
    """
    classes = as_classes("targets", targets)
    if classes.ndim == 2 and classes.shape[1] > 1 and bool((classes.sum(1) == 1).all() and classes.max() == 1):
        raise ValueError(
            f"`targets` must contain class indices, got one-hot rows {tuple(classes.shape)}; use `targets.argmax(1)`."
        )
    counts = classes.flatten().bincount()
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(
            f"`targets` has no rows of class {', '.join(map(str, missing[:10]))}, which would need an infinite weight; "
            "number the classes without gaps: `targets.unique(return_inverse=True)[1]`."
        )
    return (classes.numel() / (len(counts) * counts.double())).float()


def weighted_sampler(weights: Any, num_samples: int | None = None, *, seed: int = 0) -> "WeightedSampler":
    """Return a sampler that draws rows with replacement, in proportion to their weights.

    Unlike :class:`torch.utils.data.WeightedRandomSampler`, its draw depends only on ``seed`` and the epoch: every
    process makes the same draw, which Lightning's ``DistributedSampler`` divides among the ranks, and an epoch that is
    repeated after a resume sees the same rows. There may be more than 2**24 rows.

    Args:
        weights: ``(N,)`` one weight per row of the dataset, >= 0, not all 0; they need not sum to 1.
        num_samples: rows per epoch over all ranks, >= 1; ``None``: the number of weights.
        seed: seed of the draws.

    Returns:
        A sampler for ``DataLoader(dataset, sampler=...)``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the weights contain NaN or negative values, sum to zero, or have the wrong shape.

    Example:
        >>> sampler = weighted_sampler([0.0, 1.0, 3.0], num_samples=1000)
        >>> torch.tensor(list(sampler)).bincount()
        tensor([  0, 254, 746])
    """
    return WeightedSampler(weights, num_samples, seed=seed)


class WeightedSampler(Sampler[int]):
    """The sampler of :func:`weighted_sampler`; each iteration makes a new draw unless ``set_epoch`` is called."""

    def __init__(self, weights: Any, num_samples: int | None = None, *, seed: int = 0) -> None:
        self.weights = as_weights("weights", weights)
        self.num_samples = len(self.weights) if num_samples is None else check_count("num_samples", num_samples, 1)
        self.seed = check_count("seed", seed, 0)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the draw of the next iteration; Lightning calls it at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        self.epoch += 1
        upto = self.weights.cumsum(0)
        points = torch.rand(self.num_samples, generator=generator, dtype=torch.float64) * upto[-1]
        last = int(self.weights.nonzero().max())
        # right: a row of weight 0 has an empty interval, so no point falls into it
        return iter(torch.searchsorted(upto, points, right=True).clamp(max=last).tolist())
