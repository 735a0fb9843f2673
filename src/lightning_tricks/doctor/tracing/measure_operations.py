"""Measure operations: choose which operations to measure, and which statistics."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_tricks.doctor.facts.operations import ACTIVATIONS, LOSSES, RANDOM, WEIGHTS, words
from lightning_tricks.doctor.facts.trace_facts import Operation, Statistics
from lightning_tricks.doctor.reading.measure_tensors import measure

_BOUNDED = {"sigmoid": (0.03, 0.97), "tanh": (-0.97, 0.97)}
_CUTTING = words("relu relu6 leaky_relu threshold hardtanh hardswish")


def measure_arguments(operation: Operation, given: Sequence[tuple[str, Tensor]]) -> list[tuple[Tensor, Statistics]]:
    """Return the statistics of the arguments of a loss, of the input of a batch norm, and of an embedding's ids."""
    if operation.op in ("batch_norm", "embedding"):
        taken = next((tensor for key, tensor in given if key == "input"), given[0][1])
        statistics = measure(taken)
        return [(taken, statistics)] if statistics is not None else []
    if operation.op not in LOSSES:
        return []
    found = []
    for key, tensor in given:
        if key in ("input", "target"):
            of_classes = key == "target" and operation.op in ("cross_entropy", "nll_loss")
            ignored = (
                operation.settings.get("ignore_index", -100) if of_classes and not tensor.is_floating_point() else None
            )
            values = tensor if ignored is None else tensor[tensor != ignored]
            statistics = measure(values, distinct=key == "target")
            if statistics:
                found.append((tensor, statistics))
    return found


def channel_variance(tensor: Tensor) -> Tensor:
    """Return the variance of each channel (dimension 1) over samples and positions."""
    with torch.no_grad():
        return tensor.detach().float().var(_other_dims(1, tensor), correction=0)


def measure_result(operation: Operation, result: Tensor, before: Sequence[Operation]) -> Operation:
    """Return the operation with statistics of its result, if rules use them."""
    name = operation.op
    masks = name in RANDOM or any(before[index].op in RANDOM for index in operation.inputs)
    scalar = not operation.shape and result.is_floating_point()
    if not (name in WEIGHTS or name in ACTIVATIONS or name in LOSSES or masks or scalar):
        return operation
    operation = replace(operation, statistics=measure(result))
    if name not in _CUTTING and name not in _BOUNDED:
        return operation
    dim = _unit_dim(operation, before)
    if dim is None or not result.numel():
        return operation
    with torch.no_grad():
        values, others = result.detach(), _other_dims(dim, result)
        if name in _CUTTING:
            return replace(operation, dead=1 - float(values.any(others).float().mean()))
        low, high = _BOUNDED[name]
        shares = ((values < low) | (values > high)).float().mean(others)
        return replace(operation, saturated=float((shares > 0.9).float().mean()))


def _other_dims(dim: int, tensor: Tensor) -> tuple[int, ...]:
    return tuple(each for each in range(tensor.dim()) if each != dim % tensor.dim())


def _unit_dim(operation: Operation, before: Sequence[Operation]) -> int | None:
    """Return the dimension of the units: channels after a convolution, otherwise the last dimension."""
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
