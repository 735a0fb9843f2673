"""The two sides of a loss: the same tensor twice, and classes in a dimension that is not theirs."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.operations import LOSSES, words
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Symptom, rule

# arguments that a loss compares with each other
_COMPARED = ("input", "target", "input1", "input2", "anchor", "positive", "negative")
_SAME = words("detach clone contiguous identity float double requires_grad alias")


@rule("LOS018", "error", kind="batch", needs=("trace",), explains=("BEH006", "LOS010"))
def loss_of_equal_inputs(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that compares a tensor with itself.

    What it looks at:  losses two of whose arguments (input and target; anchor, positive and negative) are the same
                       tensor, or a detached copy of it.
    Why it matters:    the difference is 0, whatever the model computes, and so is the gradient: a reconstruction is
                       perfect, a triplet loss stays at its margin.
    Try:               pass the target of the batch; embed anchor, positive and negative separately.
    False alarms:      none known.
    References:        none.
    """
    graph = evidence.graph
    for _, loss in graph.find(*LOSSES):
        places: dict[int, str] = {}
        for name in _COMPARED:
            given = loss.fed_by(name)
            if given is None:
                continue
            source = graph.source(given, _SAME)
            if source in places:
                message = f"`{loss.op}` compares its {places[source]} with the same tensor as its {name}"
                yield Symptom(place_of(loss), message, f"pass another tensor as {name}")
                break
            places[source] = name


@rule("LOS020", "error", kind="batch", needs=("trace",))
def classes_in_wrong_dimension(evidence: Evidence) -> Iterator[Symptom]:
    """Logits of a sequence whose classes are in the last dimension.

    What it looks at:  cross entropies of three-dimensional logits that a linear layer produced: its outputs are in the
                       last dimension, but a cross entropy expects the classes in dimension 1. With as many positions as
                       classes, there is no error message.
    Why it matters:    the softmax is over the positions of the sequence, and each target is the index of a position.
    Try:               ``logits.transpose(1, 2)``.
    False alarms:      none known; logits that are transposed or reshaped are left out.
    References:        PyTorch documentation, ``CrossEntropyLoss``: the shape of ``input``.
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "cross_entropy", "nll_loss"):
        made = graph[graph.source(given, _SAME | {"log_softmax", "dropout"})]
        if made.op == "linear" and len(made.shape) == 3 and made.shape == graph[given].shape:
            message = (
                f"`{loss.op}` received logits of shape {list(made.shape)} whose classes are in the last dimension, but "
                "expects them in dimension 1"
            )
            yield Symptom(made.module or place_of(loss), message, "logits.transpose(1, 2)")
