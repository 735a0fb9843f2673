"""Gradient noise scale: read batches of a loader and measure how noisy the gradients of a training step are."""

import functools
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count, check_flag
from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.reading.read_data import read_batch
from lightning_tricks.engine.gradcheck.step_copy import StepCopy
from lightning_tricks.engine.run.ranks import gather_objects
from lightning_tricks.functional.noise_scale import NoiseScale, noise_scale, with_interval

_GROUPS = 8


def gradient_noise_scale(
    model: nn.Module, loader: Any, *, num_batches: int = 64, across_ranks: bool = False
) -> NoiseScale:
    r"""Measure the simple noise scale of a model's gradients: the batch size up to which larger batches pay off.

    The batches of the loader are the small batches; all of them together are the large batch. Gradients are computed on
    a copy of the model in float64, with the same dropout masks for each batch; the loss must be a mean over rows. The
    model and the random generators are not changed. The scale grows during training: a measurement is valid only for
    the weights at that time.

    Args:
        model: a LightningModule; or a module whose ``forward`` computes a scalar loss from the batch.
        loader: a DataLoader, or a list of batches, in random order; it yields the batches of ``training_step``. Batches
            of a different size than the first are skipped.
        num_batches: maximum number of batches to read in this process, at least 2, or 1 with ``across_ranks``; more
            batches make the interval narrower.
        across_ranks: measure on the batches of all processes of ``torch.distributed``, each of which calls this
            function with its own batches. By default this process measures alone.

    Returns:
        The scale, the squared gradient norms at both sizes, the suggested size and an interval of two standard errors.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: there are fewer than two batches of one size, or the step cannot be run on a copy, with the reason.

    Example:
        >>> class Regression(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.zeros(1))
        ...     def forward(self, x, y):
        ...         return (self.weight * x - y).pow(2).mean()
        >>> rows = torch.linspace(1, 2, 32).view(4, 8).T
        >>> gradient_noise_scale(Regression(), [(x, x) for x in rows]).suggestion
        1

    References:
        McCandlish et al., An Empirical Model of Large-Batch Training, 2018, appendix A.1.
    """
    check_flag("across_ranks", across_ranks)
    check_count("num_batches", num_batches, 1 if across_ranks else 2)
    restore_random_state, memory = remember_random_state(), ObjectSnapshot()
    memory.remember(loader, tensors=False)
    try:
        groups, rows = _measure(model, islice(iter(loader), num_batches))
    finally:
        memory.restore_()
        restore_random_state()
    counts, sizes = zip(*_of_all((sum(group.batches for group in groups), rows), across_ranks), strict=True)
    if sum(counts) < 2 or not min(counts):
        raise ValueError(
            f"`loader` must yield at least two batches of one size, got {sum(counts)}. Use a smaller batch size."
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            f"The batches of the processes must have the same size, got {', '.join(map(str, sizes))} rows."
        )
    return _estimate(groups, rows, across_ranks)


class _Group(NamedTuple):
    """Some of the batches.

    Attributes:
        batches: how many.
        norms: the sum of the squared norms of their gradients.
        total: the sum of their gradients.
    """

    batches: int
    norms: float
    total: Tensor


def _measure(model: nn.Module, batches: Iterator[Any]) -> tuple[list[_Group], int]:
    """Return the gradients of the batches, in groups, and the rows of a batch."""
    step: StepCopy | None = None
    groups: list[_Group] = []
    rows = place = 0
    for batch in batches:
        size = read_batch(batch).size
        if size is None:
            raise ValueError("The number of rows of a batch is unknown: its tensors have no first dimension.")
        rows = rows or size
        if size != rows:
            continue
        step = step or StepCopy(model, batch)
        gradient = torch.cat([part.flatten() for part in step.gradients_on(batch).values()])
        found = _Group(1, float(gradient.abs().pow(2).sum()), gradient)
        if len(groups) < _GROUPS:
            groups.append(found)
        else:
            groups[place] = _add(groups[place], found)
        place = (place + 1) % _GROUPS
    return groups, rows


def _add(one: _Group, other: _Group) -> _Group:
    return _Group(one.batches + other.batches, one.norms + other.norms, one.total + other.total)


def _estimate(groups: list[_Group], rows: int, across_ranks: bool) -> NoiseScale:
    """Return the scale of all batches, and its interval from leaving out one group after the other."""
    own = functools.reduce(_add, groups)
    counts, norms = zip(*_of_all((own.batches, own.norms), across_ranks), strict=True)
    whole = _Group(sum(counts), sum(norms), _sum_over_ranks(own.total) if across_ranks else own.total)
    left_out = [
        _scale_of(_Group(whole.batches - group.batches, whole.norms - group.norms, whole.total - group.total), rows)
        for group in groups
        if whole.batches - group.batches > 1
    ]
    everyone = [scale for scales in _of_all(left_out, across_ranks) for scale in scales]
    return with_interval(_scale_of(whole, rows), everyone)


def _of_all(mine: Any, across_ranks: bool) -> list[Any]:
    return gather_objects(mine) if across_ranks else [mine]


def _sum_over_ranks(total: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        total = total.clone()
        torch.distributed.all_reduce(torch.view_as_real(total) if total.is_complex() else total)
    return total


def _scale_of(group: _Group, rows: int) -> NoiseScale:
    large = float((group.total / group.batches).abs().pow(2).sum())
    return noise_scale(group.norms / group.batches, large, rows, group.batches * rows)
