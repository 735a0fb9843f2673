"""Activations on logits before a loss that expects unbounded logits."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import DROPOUTS, SHAPES, words
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Symptom, rule

_SQUASHING = words("relu relu6 softplus tanh hardtanh hardsigmoid softsign elu celu selu gelu silu mish hardswish abs")
_RANGES = {
    "relu": "[0, inf)", "softplus": "(0, inf)", "abs": "[0, inf)", "relu6": "[0, 6]", "tanh": "(-1, 1)",
    "hardtanh": "[-1, 1]", "softsign": "(-1, 1)", "sigmoid": "(0, 1)", "hardsigmoid": "[0, 1]",
}  # fmt: skip


@rule("LOS012", "warning", kind="batch", needs=("trace",))
def activation_on_logits(evidence: Evidence, *, room: float = 5.0) -> Iterator[Symptom]:
    """An activation on the logits.

    What it looks at:  the input of ``cross_entropy`` and ``binary_cross_entropy_with_logits``: whether a ReLU,
                       softplus, tanh, sigmoid or clamp is the last operation before it.
    Why it matters:    logits must be able to take any real value. A ReLU stops the gradient of every negative logit,
                       and a tanh keeps the loss of ten classes above 1.2, however long the model trains.
    Options:           ``room``: a clamp whose bounds are at least this far from 0 is accepted as a safeguard.
    Try:               remove the activation after the last layer.
    False alarms:      a tanh whose result is scaled (soft capping, cosine heads) is left out.
    References:        PyTorch documentation, ``CrossEntropyLoss``: "unnormalized logits".
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "cross_entropy", "binary_cross_entropy_with_logits"):
        made = graph[graph.source(given, SHAPES | DROPOUTS)]
        squashes = made.op in _SQUASHING or (made.op == "sigmoid" and loss.op == "cross_entropy")
        if squashes or _cuts(made, room):
            limits = f", which limits the logits to {_RANGES[made.op]}" if made.op in _RANGES else ""
            message = f"{call_of(evidence, made)} is the last operation before `{loss.op}`{limits}"
            yield Symptom(made.module or place_of(loss), message, f"pass the logits to `{loss.op}` without `{made.op}`")


def _cuts(made: Operation, room: float) -> bool:
    """Return whether the bounds of a clamp are too tight for logits."""
    if made.op not in ("clamp", "clamp_min", "clamp_max"):
        return False
    bounds = [value for value in made.settings.values() if isinstance(value, (int, float))]
    return any(abs(bound) < room for bound in bounds)
