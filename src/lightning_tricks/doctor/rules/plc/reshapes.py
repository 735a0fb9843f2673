"""Reshapes that change the order of dimensions, which only a transpose can."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import SHAPES, words
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.los.loss_inputs import compared
from lightning_tricks.doctor.rules.rule import Symptom, rule

_RESHAPES = words("view reshape view_as reshape_as flatten")
_TYPES = words("to float double half bfloat16 contiguous clone type type_as cpu cuda detach alias")
_COLORS = (1, 3, 4)


@rule("PLC018", "error", kind="batch", needs=("trace",))
def reshape_instead_of_transpose(evidence: Evidence) -> Iterator[Symptom]:
    """A reshape where dimensions should be swapped.

    What it looks at:  inputs of shape (N, A, B) that are viewed as (N, B, A), and class maps (N, C, H, W) that are
                       viewed as (N · H · W, C) before a cross entropy.
    Why it matters:    ``view`` and ``reshape`` keep the numbers in their order: each row of the result is made of
                       pieces of several channels or time steps, and no error is raised.
    Try:               ``x.transpose(1, 2)``; ``logits.permute(0, 2, 3, 1).reshape(-1, C)``, or pass (N, C, H, W) to the
                       loss as it is.
    False alarms:      reshapes inside the network, such as those of relative attention, are not judged. Images with
                       their channels last are reported by channels-last-images.
    References:        PyTorch documentation, ``Tensor.view`` and ``Tensor.permute``.
    """
    graph = evidence.graph
    for _, operation in graph.find("view", "reshape", "view_as", "reshape_as"):
        if _swaps(operation) and graph[graph.source(operation.inputs[0], _TYPES)].op == "batch":
            before, after = operation.input_shapes[0], operation.shape
            message = f"`{operation.op}` turns an input of shape {list(before)} into {list(after)}"
            yield Symptom(operation.module, message, "transpose or permute, which move the numbers")
    for loss, given, _ in compared(graph, "cross_entropy", "nll_loss"):
        found = _flattened_maps(graph, given)
        if found is not None:
            before, after = found.input_shapes[0], found.shape
            message = f"`{found.op}` turns maps of shape {list(before)} into {list(after)} before `{loss.op}`"
            remedy = f"permute the {before[1]} classes to the end first, or pass the maps to the loss as they are"
            yield Symptom(found.module or "loss", message, remedy)


def _swaps(operation: Operation) -> bool:
    """Return whether the dimensions behind the first one are the same in another order, those of size 1 left out."""
    if not operation.inputs or not operation.input_shapes:
        return False
    before, after = operation.input_shapes[0], operation.shape
    if len(before) != len(after) or len(before) < 3 or before[0] != after[0]:
        return False
    if len(before) == 4 and before[-1] in _COLORS:
        return False
    first, second = ([size for size in shape[1:] if size > 1] for shape in (before, after))
    return first != second and sorted(first) == sorted(second)


def _flattened_maps(graph: Graph, index: int) -> Operation | None:
    """Return the reshape that flattens ``(N, C, *)`` to ``(N · *, C)`` on the way to an operation."""
    while graph[index].op in SHAPES and graph[index].inputs:
        operation = graph[index]
        before = operation.input_shapes[0] if operation.input_shapes else ()
        is_flat = len(operation.shape) == 2 and len(before) > 2 and operation.op in _RESHAPES
        if is_flat and operation.shape[1] == before[1] != before[-1] and before[1] > 1:
            rows = math.prod(before) // before[1]
            return operation if operation.shape[0] == rows > before[0] else None
        index = operation.inputs[0]
    return None
