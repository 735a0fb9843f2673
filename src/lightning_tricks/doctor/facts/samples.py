"""Samples: how many a batch contains, and whether a step uses all of each row.

Rows of a dataset are not always samples: a row may be a graph with many nodes, a series or a set. The units that the
loss compares are counted.
"""

import math

from lightning_tricks.doctor.facts.evidence import Evidence, LoaderFact
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES, SHAPES, words

_PARTS = words("getitem narrow select index_select masked_select index take take_along_dim gather")
_SPLITS = words("chunk split tensor_split unbind split_with_sizes")
_WHOLE = SHAPES - _PARTS - _SPLITS


def loss_rows(evidence: Evidence) -> int | None:
    """Return the number of predictions that the loss compares: all dimensions except classes or features.

    ``None`` without a loss.
    """
    trace = evidence.trace
    if trace is None or trace.loss is None:
        return None
    graph = evidence.graph
    counts = [_rows(loss.op, loss.input_shapes[0]) for _, loss in graph.find(*LOSSES) if loss.input_shapes]
    return max(counts) if counts else _rows_of_own_loss(graph, trace.loss)


def _rows(op: str, shape: tuple[int, ...]) -> int:
    if op in ("cross_entropy", "nll_loss") and len(shape) > 1:
        return math.prod(shape) // max(1, shape[1])
    return math.prod(shape[:-1]) if len(shape) > 1 else math.prod(shape)


def _rows_of_own_loss(graph: Graph, loss: int) -> int | None:
    """Return the rows of the last multi-dimensional tensor on the way to a manually computed loss."""
    index = loss
    while graph[index].inputs:
        shape = graph[index].input_shapes[0] if graph[index].input_shapes else ()
        if shape:
            return _rows("", shape)
        index = graph[index].inputs[0]
    return None


def samples_per_row(evidence: Evidence) -> float:
    """Return the number of samples in a row of the training set, at least 1."""
    rows = loss_rows(evidence)
    in_batch = _rows_per_batch(evidence.train_loader) or (evidence.batch.size if evidence.batch else None)
    return max(1.0, rows / in_batch) if rows and in_batch else 1.0


def _rows_per_batch(loader: LoaderFact | None) -> int | None:
    """Return the number of rows per batch: the loader's own value, or that implied by its length."""
    if loader is None or loader.batch_size:
        return loader.batch_size if loader is not None else None
    return math.ceil(loader.rows / loader.batches) if loader.rows and loader.batches else None


def what_uses_parts_of_rows(evidence: Evidence) -> str:
    """Return the leaf of the batch of which the training step uses only a part (mask or slice); empty if none.

    If training uses only a part of each row, rows may be split internally: validation may use the other part.
    """
    if evidence.trace is None or evidence.batch is None:
        return ""
    graph = evidence.graph
    for leaf in evidence.batch.leaves:
        if leaf.tensor is not None and leaf.tensor.dtype == "torch.bool" and "train" in leaf.path.lower():
            return leaf.path
    for index, operation in graph.find("batch"):
        used = _elements_used(graph, index)
        if used is not None and used < math.prod(operation.shape):
            return operation.module or "the batch"
    return ""


def _elements_used(graph: Graph, index: int) -> int | None:
    """Return the number of elements selected from a tensor; ``None`` if it is used as a whole or not at all."""
    picked = 0
    for user in graph.users[index]:
        operation = graph[user]
        if operation.op in _PARTS and operation.inputs[0] == index:
            is_whole = math.prod(operation.shape) >= math.prod(graph[index].shape)
            inner = _elements_used(graph, user)
            if is_whole and inner is None:
                return None
            picked += math.prod(operation.shape) if inner is None else inner
        elif operation.op in _WHOLE:
            inner = _elements_used(graph, user)
            if inner is None:
                return None
            picked += inner
        else:
            return None
    return picked or None
