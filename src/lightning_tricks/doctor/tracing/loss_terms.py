"""Loss terms: the size of the gradient of each term of a loss, at the last layer that all of them depend on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lightning_tricks.core.devices import stack_tensors
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.trace_facts import TermFact

_AT_MOST = 4


def measure_terms(
    graph: Graph, loss: int, scalars: Mapping[int, Tensor], parameters: Mapping[str, nn.Parameter]
) -> tuple[TermFact, ...]:
    """Return the norm of the gradient of each term for the weights of the last shared layer.

    A gradient for the last shared layer needs a backward pass through the layers after it only.

    Args:
        graph: the operations before the backward pass.
        loss: the operation that produced the loss.
        scalars: the results of operations that are one number.
        parameters: the parameters of the model, by name.

    Returns:
        Nothing for a loss of one term, of more than four, or if the terms share no layer.
    """
    terms = [each for each in graph.terms(loss) if each in scalars and _needs_batch(graph, each)]
    if not 2 <= len(terms) <= _AT_MOST:
        return ()
    layer = _last_shared(graph, terms, parameters)
    if layer is None:
        return ()
    try:
        found = [torch.autograd.grad(scalars[each], parameters[layer], retain_graph=True)[0] for each in terms]
    except RuntimeError:  # a part that can only run its backward pass as a whole, such as reentrant checkpointing
        return ()
    norms = stack_tensors([each.detach().float().norm() for each in found]).tolist()
    return tuple(TermFact(term, layer, norm) for term, norm in zip(terms, norms, strict=True))


def _needs_batch(graph: Graph, term: int) -> bool:
    return any(graph[each].op == "batch" for each in graph.before(term))


def _last_shared(graph: Graph, terms: Sequence[int], parameters: Mapping[str, nn.Parameter]) -> str | None:
    """Return the matrix of weights that is used last by an operation before every term."""
    shared = set.intersection(*(graph.before(term) for term in terms))
    for index in sorted(shared, reverse=True):
        for each in graph[index].inputs:
            leaf = graph[graph.source(each)]
            weights = parameters.get(leaf.module) if leaf.op == "parameter" else None
            if weights is not None and weights.requires_grad and weights.dim() > 1:
                return leaf.module
    return None
