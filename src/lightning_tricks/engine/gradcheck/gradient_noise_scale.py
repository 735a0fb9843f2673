"""Gradient noise scale: read batches of a loader and measure how noisy the gradients of a training step are."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.arguments import check_count
from lightning_tricks.core.object_snapshot import ObjectSnapshot, remember_random_state
from lightning_tricks.doctor.reading.read_data import read_batch
from lightning_tricks.engine.gradcheck.step_copy import StepCopy
from lightning_tricks.functional.noise_scale import NoiseScale, noise_scale, with_interval

_GROUPS = 8


def gradient_noise_scale(model: nn.Module, loader: Any, *, num_batches: int = 64) -> NoiseScale:
    r"""Measure the simple noise scale of a model's gradients: the batch size up to which larger batches pay off.

    The batches of the loader are the small batches; all of them together are the large batch. Gradients are computed on
    a copy of the model in float64, with the same dropout masks for each batch; the loss must be a mean over rows. The
    model and the random generators are not changed. The scale grows during training: a measurement is valid only for
    the weights at that time. It uses one process; under DDP, measure in one of them.

    Args:
        model: a LightningModule; or a module whose ``forward`` computes a scalar loss from the batch.
        loader: a DataLoader, or a list of batches, in random order; it yields the batches of ``training_step``. Batches
            of a different size than the first are skipped.
        num_batches: maximum number of batches to read, at least 2; more batches make the interval narrower.

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
    check_count("num_batches", num_batches, 2)
    restore_random_state, memory = remember_random_state(), ObjectSnapshot()
    memory.remember(loader, tensors=False)
    try:
        norms, sums, rows = _measure(model, islice(iter(loader), num_batches))
    finally:
        memory.restore_()
        restore_random_state()
    if len(norms) < 2:
        raise ValueError(
            f"`loader` must yield at least two batches of one size, got {len(norms)}. Use a smaller batch size."
        )
    return _estimate(norms, sums, rows)


def _measure(model: nn.Module, batches: Iterator[Any]) -> tuple[list[float], list[Tensor], int]:
    """Return the squared norm of each batch's gradient, the sums of gradients by group, and the rows of a batch."""
    step: StepCopy | None = None
    norms: list[float] = []
    sums: list[Tensor] = []
    rows = 0
    for batch in batches:
        size = read_batch(batch).size
        if size is None:
            raise ValueError("The number of rows of a batch is unknown: its tensors have no first dimension.")
        rows = rows or size
        if size != rows:
            continue
        step = step or StepCopy(model, batch)
        gradient = torch.cat([part.flatten() for part in step.gradients_on(batch).values()])
        if len(sums) < _GROUPS:
            sums.append(torch.zeros_like(gradient))
        sums[len(norms) % _GROUPS] += gradient
        norms.append(float(gradient.abs().pow(2).sum()))
    return norms, sums, rows


def _estimate(norms: list[float], sums: list[Tensor], rows: int) -> NoiseScale:
    total = torch.stack(sums).sum(0)
    groups = [norms[place::_GROUPS] for place in range(len(sums))]
    scale = _scale_of(sum(norms), total, len(norms), rows)
    left_out = [
        _scale_of(sum(norms) - sum(group), total - part, len(norms) - len(group), rows)
        for group, part in zip(groups, sums, strict=True)
        if len(norms) - len(group) > 1
    ]
    return with_interval(scale, left_out)


def _scale_of(norms: float, total: Tensor, count: int, rows: int) -> NoiseScale:
    large = float((total / count).abs().pow(2).sum())
    return noise_scale(norms / count, large, rows, count * rows)
