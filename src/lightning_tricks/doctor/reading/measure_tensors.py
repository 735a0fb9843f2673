"""Measure tensors: the statistics that are kept in the evidence."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.core.devices import precise
from lightning_tricks.doctor.facts.trace_facts import Scalar, Statistics, TensorFact

_SAMPLE = 1 << 14


def measure(tensor: Tensor, *, distinct: bool = False) -> Statistics | None:
    """Return the statistics of a tensor; ``None`` if it has no real values (lazy, meta, complex, empty).

    Args:
        tensor: any tensor.
        distinct: also count its distinct values.

    Example:
        >>> found = measure(torch.tensor([0.0, 1.0, float("nan")]))
        >>> found.count, found.nonfinite, found.mean, found.zeros
        (3, 1, 0.5, 0.5)
    """
    tensor = local_part(tensor)
    if nn.parameter.is_lazy(tensor) or tensor.is_meta or tensor.is_complex() or tensor.is_quantized:
        return None
    if tensor.layout is not torch.strided or tensor.is_nested or not tensor.numel():
        return None
    with torch.no_grad():
        flat = tensor.detach().reshape(-1)
        found = _numbers(_sample(flat))
        nonfinite = 0
        if flat.is_floating_point() and not _is_finite(flat, found[0]):
            finite = flat[torch.isfinite(flat)]
            nonfinite = flat.numel() - finite.numel()
            found = _numbers(_sample(finite)) if finite.numel() else [0.0] * 5
        mean, std, low, high, nonzero = found
        kinds = len(torch.unique(flat)) if distinct else None
        whole = not flat.is_floating_point() or (distinct and bool((flat == flat.round()).all()))
    return Statistics(flat.numel(), nonfinite, mean, std, low, high, 1 - nonzero, whole, kinds)


def is_transformed(tensor: Tensor) -> bool:
    """Return whether a tensor stands for others inside a transform of ``torch.func``, where it has no memory.

    Example:
        >>> torch.func.vmap(lambda row: row.sum() + is_transformed(row))(torch.zeros(2, 3))
        tensor([1., 1.])
    """
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def _is_finite(flat: Tensor, mean: float) -> bool:
    """Return whether all values are finite, by the mean of the sampled ones and by the sum of all."""
    return math.isfinite(mean) and (flat.numel() <= _SAMPLE or bool(torch.isfinite(flat.sum())))


def _sample(flat: Tensor) -> Tensor:
    # an odd step; an even one would sample the same few columns of every row
    return flat[:: (flat.numel() // _SAMPLE) | 1] if flat.numel() > _SAMPLE else flat


def _numbers(flat: Tensor) -> list[float]:
    values = flat.float()
    std, mean = torch.std_mean(values, correction=0)
    low, high = torch.aminmax(values)
    nonzero = torch.count_nonzero(values) / values.numel()
    found: list[float] = torch.stack([mean, std, low, high, nonzero]).tolist()  # a single transfer from the device
    return found


def describe(tensor: Tensor, *, values: bool = True) -> TensorFact:
    """Return the facts about a tensor."""
    return TensorFact(shape_of(tensor), str(tensor.dtype), measure(tensor) if values else None)


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape; empty if it has none (lazy or nested)."""
    return () if nn.parameter.is_lazy(tensor) or tensor.is_nested else tuple(tensor.shape)


def share_of_duplicate_rows(tensor: Tensor) -> float | None:
    """Return the share of rows, of the first dimension, that equal an earlier one; ``None`` below two dimensions.

    Only the first 512 rows are compared.
    """
    tensor = local_part(tensor)
    if nn.parameter.is_lazy(tensor) or tensor.is_meta or tensor.dim() < 2 or not tensor.numel():
        return None
    with torch.no_grad():
        rows = precise(tensor.detach()[:512].flatten(1))
        # equal rows have equal products with a vector of unrelated numbers
        marks = rows @ torch.arange(1, rows.shape[1] + 1, dtype=torch.float64, device=rows.device).sqrt()
        return 1 - len(torch.unique(marks)) / len(marks)


def count_zero_rows(tensor: Tensor) -> int:
    """Return the number of rows, of the first dimension, that are all zeros; 0 below two dimensions.

    Example:
        >>> count_zero_rows(torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
        1
    """
    tensor = local_part(tensor)
    if nn.parameter.is_lazy(tensor) or tensor.is_meta or tensor.dim() < 2 or not tensor.numel():
        return 0
    with torch.no_grad():
        return int((~tensor.detach().flatten(1).any(1)).sum())


def local_part(tensor: Any) -> Tensor:
    """Return this process's shard of a distributed tensor, or any other tensor unchanged."""
    shard: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return shard


def plain_settings(values: dict[str, Any]) -> dict[str, Scalar]:
    """Keep plain settings: numbers, strings and flags; each number of a pair such as betas has its own key.

    Example:
        >>> plain_settings({"lr": 0.1, "betas": (0.9, 0.999), "params": [], "_step": 1})
        {'lr': 0.1, 'betas.0': 0.9, 'betas.1': 0.999}
    """
    found: dict[str, Scalar] = {}
    for key, value in values.items():
        if key.startswith("_"):
            continue
        if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
            value = value.item()
        if isinstance(value, (bool, int, float, str, type(None))):
            found[key] = value
        elif isinstance(value, (tuple, list)) and 0 < len(value) <= 4:
            found.update(
                {f"{key}.{i}": item for i, item in enumerate(value) if isinstance(item, (bool, int, float, str))}
            )
    return found
