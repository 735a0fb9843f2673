"""Logits that are cosines."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import SHAPES, words
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Symptom, rule

_PRODUCTS = words("linear matmul mm bmm einsum addmm")
_NORMS = words("norm linalg_norm vector_norm linalg_vector_norm")


@rule("LOS015", "warning", kind="batch", needs=("trace",))
def cosine_logits_without_scale(evidence: Evidence, *, least: float = 1.0) -> Iterator[Symptom]:
    """Cosines passed to a cross entropy without a scale.

    What it looks at:  the input of ``cross_entropy``: a product of two normalized tensors, or a cosine similarity, that
                       is neither multiplied nor divided.
    Why it matters:    logits in [-1, 1] cannot express a confident prediction: with C classes the loss stays above
                       log(1 + (C - 1) / e²).
    Options:           ``least``: the smallest such limit that is reported; 1 is reached with 14 classes.
    Try:               a temperature: ``logits / 0.07``, or a learned scale.
    False alarms:      none known.
    References:        Wang et al., NormFace, 2017; Wu et al., Non-Parametric Instance Discrimination, 2018.
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "cross_entropy"):
        shape = graph[given].shape
        made = graph[graph.source(given)]
        is_cosine = made.op == "cosine_similarity" or (
            made.op in _PRODUCTS and sum(_is_normalized(graph, each) for each in made.inputs) >= 2
        )
        limit = math.log(1 + (shape[1] - 1) * math.exp(-2)) if len(shape) > 1 else 0.0
        if is_cosine and limit >= least:
            message = f"the logits of {shape[1]} classes are cosines in [-1, 1], so `{loss.op}` stays above {limit:.2g}"
            yield Symptom(place_of(loss), message, "divide them by a temperature such as 0.07")


def _is_normalized(graph: Graph, index: int) -> bool:
    made = graph[graph.source(index)]
    divisors = [graph[graph.source(each, SHAPES | {"clamp", "clamp_min", "add"})].op for each in made.inputs[1:]]
    return made.op == "normalize" or (made.op == "div" and not _NORMS.isdisjoint(divisors))
