"""The weights of classes in a loss: classes that do not count, weights that work against balance, smoothed targets."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.trace_facts import ClassesFact, Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule


@rule("LOS016", "warning", kind="batch", needs=("trace",))
def class_left_out(evidence: Evidence) -> Iterator[Symptom]:
    """A class of the targets that does not count in the loss.

    What it looks at:  cross entropies: classes among the targets whose weight is 0, and targets that equal an
                       ``ignore_index`` that is one of the classes of the output.
    Why it matters:    the model is never taught this class, and its logit is only pushed down by the other classes.
    Try:               a weight above 0; keep ``ignore_index=-100`` and use that index for targets without a class.
    False alarms:      token ids, whose padding is left out on purpose, are not reported. Maps of classes (segmentation)
                       are info: a class of void pixels is a convention.
    References:        PyTorch documentation, ``CrossEntropyLoss``.
    """
    graph = evidence.graph
    for loss, given, target in compared(graph, "cross_entropy", "nll_loss"):
        found = loss.classes
        if found is None or _are_tokens(graph, target):
            continue
        message, remedy = _left_out(loss, found, graph[given])
        severity: Severity | None = "info" if len(_shape_of(graph, target)) > 1 else None
        if message:
            yield Symptom(place_of(loss), message, remedy, severity)


def _left_out(loss: Operation, found: ClassesFact, given: Operation) -> tuple[str, str]:
    """Return the message and the remedy; an empty message if all classes count."""
    if found.unweighted:
        names = ", ".join(map(str, found.unweighted[:5])) + (" …" if len(found.unweighted) > 5 else "")
        what = f"class {names} has" if len(found.unweighted) == 1 else f"classes {names} have"
        share = f"{found.unweighted_share:.0%} of the targets do not count"
        return f"{what} weight 0 in `{loss.op}`: {share}", "a weight above 0 for each class of the targets"
    index, classes = loss.settings.get("ignore_index"), given.shape[1] if len(given.shape) > 1 else 0
    if found.ignored and isinstance(index, int) and index < classes:
        message = (
            f"ignore_index={index} of `{loss.op}` is one of its {classes} classes: {found.ignored:.0%} of the targets"
        )
        return f"{message} do not count", "ignore_index=-100"
    return "", ""


def _shape_of(graph: Graph, target: int | None) -> tuple[int, ...]:
    """Return the shape of the targets in the batch, before they were flattened."""
    return () if target is None else graph[graph.source(target)].shape


def _are_tokens(graph: Graph, target: int | None) -> bool:
    """Return whether targets are sequences, next to an embedding of ids of the batch."""
    if len(_shape_of(graph, target)) != 2:
        return False
    ids = (call.fed_by("input") for _, call in graph.find("embedding", "embedding_bag"))
    return any(each is not None and graph[graph.source(each)].op == "batch" for each in ids)


@rule("LOS017", "warning", kind="batch", needs=("trace",))
def weights_against_balance(evidence: Evidence, *, factor: float = 3.0) -> Symptoms:
    """Class weights that make the imbalance of the classes larger.

    What it looks at:  the weights of a cross entropy, and ``pos_weight`` of a binary one: the largest class of the
                       batch against the smallest, counted and weighted.
    Why it matters:    weights are meant to help rare classes. Weights that are proportional to the counts, or a
                       ``pos_weight`` of positives over negatives, do the opposite.
    Options:           ``factor``: by how much the weights may increase the imbalance.
    Try:               weights of 1 / counts; ``pos_weight = negatives / positives``.
    False alarms:      a frequent class that is weighted up on purpose, for example because its errors are expensive.
    References:        PyTorch documentation, ``BCEWithLogitsLoss``.
    """
    for _, loss in evidence.graph.find(*LOSSES):
        found = loss.classes
        if found is None or found.weighted_imbalance == found.imbalance:
            continue
        known = f"the largest class counts {found.imbalance:.3g} times the smallest"
        yield Observed(f"{known}, with weights {found.weighted_imbalance:.3g} times")
        if found.imbalance >= 2 and found.weighted_imbalance > factor * found.imbalance:
            name = "pos_weight" if loss.op == "binary_cross_entropy_with_logits" else "weight"
            message = (
                f"`{name}` works against balance: {known} without it, {found.weighted_imbalance:.3g} times with it"
            )
            remedy = "pos_weight=negatives / positives" if name == "pos_weight" else "weight=1 / counts"
            yield Symptom(place_of(loss), message, remedy)


@rule("LOS019", "warning", kind="batch", needs=("trace",))
def label_smoothing_out_of_range(evidence: Evidence, *, typical: float = 0.2, limit: float = 0.5) -> Iterator[Symptom]:
    """Label smoothing that hides the labels.

    What it looks at:  ``label_smoothing`` of cross entropies.
    Why it matters:    of a smoothing of s, 1 - s is left for the class, and s is shared by all classes: from 0.5 on,
                       the loss hardly distinguishes a right from a wrong prediction.
    Options:           ``typical``: info above it; ``limit``: a warning from it on.
    Try:               ``label_smoothing=0.1``.
    False alarms:      none known.
    References:        Szegedy et al., Rethinking the Inception Architecture, 2016, §7.
    """
    for _, loss in evidence.graph.find("cross_entropy"):
        smoothing = loss.settings.get("label_smoothing")
        if isinstance(smoothing, (int, float)) and smoothing > typical:
            severity: Severity | None = None if smoothing >= limit else "info"
            message = f"`{loss.op}` has label_smoothing = {smoothing:g}, above {typical:g}"
            yield Symptom(place_of(loss), message, "label_smoothing=0.1", severity)
