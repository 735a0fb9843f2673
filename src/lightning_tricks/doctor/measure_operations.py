"""Measure operations: which of them are worth numbers, and which numbers."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_tricks.doctor.measure_tensors import measure
from lightning_tricks.doctor.operations import ACTIVATIONS, LOSSES, RANDOM, WEIGHTS, words
from lightning_tricks.doctor.trace_facts import Operation, Statistics

_BOUNDED = {"sigmoid": (0.03, 0.97), "tanh": (-0.97, 0.97)}
_CUTTING = words("relu relu6 leaky_relu threshold hardtanh hardswish")


def measure_arguments(operation: Operation, given: Sequence[tuple[str, Tensor]]) -> list[tuple[Tensor, Statistics]]:
    """Return the statistics of what a loss compares."""
    if operation.op not in LOSSES:
        return []
    found = []
    for key, one in given:
        if key in ("input", "target"):
            of_classes = key == "target" and operation.op in ("cross_entropy", "nll_loss")
            ignored = (
                operation.settings.get("ignore_index", -100) if of_classes and not one.is_floating_point() else None
            )
            values = one if ignored is None else one[one != ignored]
            statistics = measure(values, distinct=key == "target")
            if statistics:
                found.append((one, statistics))
    return found


def channel_variance(tensor: Tensor) -> Tensor:
    """Return the variance of each channel (dimension 1) over samples and positions."""
    with torch.no_grad():
        return tensor.detach().float().movedim(1, 0).flatten(1).var(1, correction=0)


def measure_result(operation: Operation, result: Tensor, before: Sequence[Operation]) -> Operation:
    """Return the operation with the numbers of its result, if it is one whose numbers rules speak of."""
    name = operation.op
    masks = name in RANDOM or any(before[index].op in RANDOM for index in operation.inputs)
    scalar = not operation.shape and result.is_floating_point()
    if not (name in WEIGHTS or name in ACTIVATIONS or name in LOSSES or masks or scalar):
        return operation
    operation = replace(operation, statistics=measure(result))
    if name in _CUTTING:
        return replace(operation, dead=_share_of_units(result == 0, _unit_dim(operation, before), 1.0))
    if name in _BOUNDED:
        low, high = _BOUNDED[name]
        at_limits = (result < low) | (result > high)
        return replace(operation, saturated=_share_of_units(at_limits, _unit_dim(operation, before), 0.9))
    return operation


def _share_of_units(marked: Tensor, dim: int | None, above: float) -> float | None:
    """Return the share of units that are marked on (more than) that share of the samples."""
    if dim is None or not marked.numel():
        return None
    with torch.no_grad():
        shares = marked.detach().movedim(dim, 0).flatten(1).float().mean(1)
        return float((shares >= above if above == 1.0 else shares > above).float().mean())


def _unit_dim(operation: Operation, before: Sequence[Operation]) -> int | None:
    """Return the dimension of the units: channels after a convolution, else the last."""
    if len(operation.shape) < 2:
        return None
    source = before[operation.inputs[0]] if operation.inputs else None
    seen = 0
    while source is not None and source.inputs and seen < 8:
        if source.op.startswith("conv"):
            return 1
        if source.op in WEIGHTS:
            return -1
        source, seen = before[source.inputs[0]], seen + 1
    return 1 if len(operation.shape) > 3 else -1
