"""The terms of a loss: their values, and their gradients at a layer that they share."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES, WEIGHTS
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, rule

_OF_TARGETS = LOSSES - {"kl_div"}
_REMEDY = "a weight for each term (lightning_tricks.LossBalancer)"


def term_scale_in_run(
    evidence: Evidence, *, ratio: float = 100.0, penalty: float = 20.0, dominance: float = 1000.0
) -> Iterator[Symptom | NotChecked]:
    """Yield a term of the loss that has grown far beyond another one; one that shrinks has been learned."""
    forward = evidence.run.forward if evidence.run is not None else None
    pairs = list(zip(forward.terms, forward.first_terms, strict=True)) if forward is not None else []
    known = [(now, first) for now, first in pairs if now > 0 and math.isfinite(now)]
    if forward is None or len(known) < 2:
        yield NotChecked("no sum of terms was seen during training")
        return
    (largest, at_first), smallest = max(known), min(known)[0]
    if largest > ratio * smallest and largest > 2 * at_first:
        message = (
            f"around step {forward.step}, terms of {smallest:.3g} and {largest:.3g} are added: they differ by more "
            f"than a factor of {ratio:g}; the larger one was {at_first:.3g} at first"
        )
        yield Symptom("loss", message, _REMEDY)


@rule("LOS009", "info", kind="batch", needs=("trace",), in_run=term_scale_in_run)
def auxiliary_loss_scale(
    evidence: Evidence, *, ratio: float = 100.0, penalty: float = 20.0, dominance: float = 1000.0
) -> Iterator[Symptom]:
    """Loss terms of very different size.

    What it looks at:  in the first batch, the gradients of the terms that are added to form the loss, for the weights
                       of the last layer on which all of them depend; the terms themselves if there is no such layer,
                       and during training, in one batch per ``log_every_n_steps``, if the larger one has grown. A term
                       that does not depend on the batch, such as a weight penalty, and exceeds all others together is
                       a warning.
    Why it matters:    the smaller term has almost no effect, or the larger term dominates: a penalty that does draws
                       the weights to zero.
    Options:           ``ratio``: the largest ratio between the largest and the smallest term; ``penalty``: the largest
                       ratio between the terms without the batch and the rest; ``dominance``: the ratio of two gradients
                       above which it is a warning.
    Try:               ``lightning_tricks.LossBalancer``, or weights of your own: initial gradients within a factor of
                       ten.
    False alarms:      info if the smaller term was multiplied by a number or does not compare with targets, such as the
                       divergence of a VAE or the balance of experts: it is small by design. Terms without a gradient at
                       the start are left out.
    References:        Chen et al., GradNorm, 2018; Kendall et al., Multi-Task Learning Using Uncertainty, 2018.
    """
    graph = evidence.graph
    if graph.trace.loss is None:
        return
    places = graph.terms(graph.trace.loss)
    free, rest = _sizes_without_and_with_the_batch(graph, places)
    if rest and free > penalty * rest:
        message = f"terms without the batch, such as a penalty, are {free:.3g}; the rest of the loss is {rest:.3g}"
        yield Symptom("loss", message, "a smaller weight for the penalty, or weight_decay", "warning")
    elif graph.trace.terms:
        yield from _compare_gradients(graph, ratio, dominance)
    else:
        yield from _compare_values(graph, places, ratio)


def _compare_gradients(graph: Graph, ratio: float, dominance: float) -> Iterator[Symptom]:
    terms = [term for term in graph.trace.terms if term.gradient > 0 and math.isfinite(term.gradient)]
    if len(terms) < 2:
        return
    smallest, largest = min(terms, key=lambda term: term.gradient), max(terms, key=lambda term: term.gradient)
    if largest.gradient <= ratio * smallest.gradient:
        return
    dominates = largest.gradient > dominance * smallest.gradient and not _is_small_by_design(graph, smallest.operation)
    severity: Severity | None = "warning" if dominates else None
    factor = dominance if dominates else ratio
    message = (
        f"the gradients of `{graph[smallest.operation].op}` and `{graph[largest.operation].op}`, which are added, have "
        f"norms {smallest.gradient:.3g} and {largest.gradient:.3g} for `{smallest.layer}`: they differ by more than a "
        f"factor of {factor:g}"
    )
    yield Symptom("loss", message, _REMEDY, severity)


def _is_small_by_design(graph: Graph, term: int) -> bool:
    """Return whether a term has a weight, or is not a loss of targets."""
    is_weighted = graph[term].op in ("mul", "div") and len(graph[term].inputs) == 1
    return is_weighted or not any(graph[each].op in _OF_TARGETS for each in (term, *graph.before(term)))


def _compare_values(graph: Graph, places: list[int], ratio: float) -> Iterator[Symptom]:
    terms = [graph[index] for index in places]
    sizes = [abs(term.statistics.mean) for term in terms if term.statistics is not None and term.requires_grad]
    sizes = [size for size in sizes if size > 0 and math.isfinite(size)]
    if len(sizes) > 1 and max(sizes) > ratio * min(sizes):
        message = (
            f"terms of {min(sizes):.3g} and {max(sizes):.3g} are added: they differ by more than a factor of {ratio:g}"
        )
        yield Symptom("loss", message, _REMEDY)


def _sizes_without_and_with_the_batch(graph: Graph, places: list[int]) -> tuple[float, float]:
    """Return the sums of the sizes of the terms that depend on parameters alone, and of those that need the batch."""
    sums = {True: 0.0, False: 0.0}
    for place in places:
        term = graph[place]
        if term.statistics is None or not term.requires_grad or not math.isfinite(term.statistics.mean):
            continue
        sums[_needs_data(graph, place)] += abs(term.statistics.mean)
    return sums[False], sums[True]


def _needs_data(graph: Graph, term: int) -> bool:
    """Return whether a term depends on the batch, or on layers that are called on constants, such as a boundary."""
    before = graph.before(term)
    if any(graph[each].op == "batch" for each in before):
        return True
    inputs = (graph[each].inputs[0] for each in before if graph[each].op in WEIGHTS and graph[each].inputs)
    return any(all(graph[each].op != "parameter" for each in (given, *graph.before(given))) for given in inputs)
