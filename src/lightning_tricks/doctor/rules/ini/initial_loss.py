"""The loss before the first step."""

import math

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import ACTIVATIONS, DROPOUTS, POOLS, SHAPES, WEIGHTS
from lightning_tricks.doctor.facts.roles import NORMS, output_weights, parameters_of
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule


@rule("INI005", "warning", kind="batch", needs=("trace",))
def initial_loss_off(evidence: Evidence, *, high: float = 2.0, low: float = 0.5) -> Symptoms:
    """An initial loss far from that of a uniform guess.

    What it looks at:  cross entropy on the batch against log(classes), binary cross entropy against log 2.
    Why it matters:    far above, the first steps only undo the initialization; far below, the target leaks into the
                       input, or the loss does not measure what it should.
    Options:           ``high``, ``low``: multiples of the loss of a uniform guess outside which it is reported.
    Try:               scaled inputs (``tricks=[normalize_inputs]``), ``tricks=[initialize_weights]``, a smaller
                       initialization of the output layer, a bias that matches the class prior.
    False alarms:      pretrained parts, label smoothing, class weights, and similarities that are not computed by an
                       output layer are left out.
    References:        Karpathy, A recipe for training neural networks, 2019.
    """
    last = (name.rpartition(".")[0] for name in output_weights(evidence))
    if evidence.model.pretrained_share > 0.5 or any(evidence.model.is_pretrained(path) for path in last):
        yield NotChecked("the model or its last layer is pretrained")
        return
    graph = evidence.graph
    for _, operation in graph.find("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        weighted = operation.settings.get("label_smoothing") or {"weight", "pos_weight"} & set(operation.names)
        is_mean = operation.settings.get("reduction", "mean") == "mean"
        if (
            operation.statistics is None
            or operation.statistics.nonfinite
            or weighted
            or not is_mean
            or not operation.input_shapes
            or not _is_made_by_a_layer(graph, operation.fed_by("input"))
        ):
            continue
        logits = operation.input_shapes[0]
        classes = logits[min(1, len(logits) - 1)] if operation.op == "cross_entropy" else 2
        guess, seen = math.log(max(classes, 2)), operation.statistics.mean
        yield Observed(f"{operation.op} starts at {seen:.3g}, a uniform guess has {guess:.3g}")
        if seen > high * guess or seen < low * guess:
            message = (
                f"{operation.op} starts at {seen:.3g}, a uniform guess has {guess:.3g} (limits {low:g} × and "
                f"{high:g} ×)"
            )
            yield Symptom("loss", message, "tricks=[normalize_inputs,initialize_weights]; a smaller output layer")


def _is_made_by_a_layer(graph: Graph, index: int | None) -> bool:
    """Return whether a weight layer produces the logits, apart from scaling, shifting and activations after it."""
    if index is None:
        return False
    made = graph.source(index, SHAPES | ACTIVATIONS | NORMS | POOLS | {"add", "sub", "mul", "div", "clamp"} | DROPOUTS)
    return graph[made].op in WEIGHTS and bool(parameters_of(graph, made))
