"""The input of a loss and the operation that produced it."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import LOSSES, SHAPES
from lightning_tricks.doctor.facts.trace_facts import Operation, Statistics
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule

_EXPECTS_LOGITS = {
    "nll_loss": "use cross_entropy, which expects logits",
    "binary_cross_entropy": "use binary_cross_entropy_with_logits, which expects logits",
    "kl_div": "pass log_softmax of the logits",
}


def compared(graph: Graph, *names: str) -> Iterator[tuple[Operation, int, int | None]]:
    """Yield each loss of these names with the operations that produced its input and its target."""
    for _, loss in graph.find(*names):
        given = loss.fed_by("input")
        if given is not None:
            yield loss, given, loss.fed_by("target")


def place_of(loss: Operation) -> str:
    """Return the module of a loss, or ``loss`` if the step calls it as a function."""
    return loss.module or "loss"


@rule("LOS001", "error", kind="batch", needs=("trace",))
def softmax_before_cross_entropy(evidence: Evidence) -> Iterator[Symptom]:
    """Softmax before a cross entropy, which applies its own.

    What it looks at:  the input of ``cross_entropy``: whether it is the result of a softmax or log-softmax.
    Why it matters:    the softmax of a softmax is nearly flat: gradients shrink, and the loss cannot approach 0. A
                       log-softmax is only redundant: info.
    Try:               pass the logits, or use ``nll_loss`` after ``log_softmax``.
    False alarms:      none known.
    References:        PyTorch documentation, ``CrossEntropyLoss``: "unnormalized logits".
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "cross_entropy"):
        made = graph[graph.source(given)]
        if made.op in ("softmax", "log_softmax"):
            message = f"{call_of(evidence, made)} feeds `cross_entropy`, which applies log-softmax itself"
            severity: Severity | None = "info" if made.op == "log_softmax" else None
            yield Symptom(made.module or place_of(loss), message, "pass the logits to cross_entropy", severity)


@rule("LOS002", "error", kind="batch", needs=("trace",))
def sigmoid_before_bce_with_logits(evidence: Evidence) -> Iterator[Symptom]:
    """Sigmoid before a loss that applies its own.

    What it looks at:  the input of ``binary_cross_entropy_with_logits``: whether it is the result of a sigmoid or
                       softmax.
    Why it matters:    the probabilities are squeezed into [0.5, 0.73], and the loss cannot approach 0.
    Try:               pass the logits, or use ``binary_cross_entropy``.
    False alarms:      none known.
    References:        PyTorch documentation, ``BCEWithLogitsLoss``.
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "binary_cross_entropy_with_logits"):
        made = graph[graph.source(given)]
        if made.op in ("sigmoid", "softmax"):
            message = (
                f"{call_of(evidence, made)} feeds `binary_cross_entropy_with_logits`, which applies a sigmoid itself"
            )
            yield Symptom(made.module or place_of(loss), message, "pass the logits to the loss")


@rule("LOS003", "error", kind="batch", needs=("trace",))
def logits_into_nll(evidence: Evidence) -> Iterator[Symptom]:
    """Logits passed to a loss that expects probabilities or log-probabilities.

    What it looks at:  the range of the input of ``nll_loss`` and ``kl_div`` (at most 0) and of ``binary_cross_entropy``
                       (in [0, 1]).
    Why it matters:    ``nll_loss`` of logits has no lower bound: it decreases forever and measures nothing. ``kl_div``
                       of probabilities is not a divergence, and becomes negative.
    Try:               ``cross_entropy`` or ``binary_cross_entropy_with_logits``, which expect logits; ``log_softmax``
                       before ``kl_div``.
    False alarms:      log-probabilities that are computed in another way pass, because only the range is checked.
    References:        PyTorch documentation, ``NLLLoss``.
    """
    graph = evidence.graph
    for loss, given, _ in compared(graph, "nll_loss", "kl_div", "binary_cross_entropy"):
        found = graph[given].statistics
        if found is None:
            continue
        is_log = loss.op != "binary_cross_entropy"
        high, low = (1e-5, float("-inf")) if is_log else (1 + 1e-5, -1e-5)
        if found.high > high or found.low < low:
            expected = "log-probabilities, at most 0" if is_log else "probabilities in [0, 1]"
            message = f"`{loss.op}` received values in [{found.low:.3g}, {found.high:.3g}], but expects {expected}"
            yield Symptom(place_of(loss), message, _EXPECTS_LOGITS[loss.op])


@rule("LOS004", "warning", kind="batch", needs=("trace",))
def mse_on_classification(evidence: Evidence, *, classes: int = 20) -> Iterator[Symptom]:
    """A squared or absolute error on class labels.

    What it looks at:  ``mse_loss``, ``l1_loss`` and similar losses whose input is the result of a softmax or sigmoid
                       and whose targets are zeros and ones, or whose targets are class indices.
    Why it matters:    the gradient vanishes where a prediction is confident and wrong; distances between class indices
                       have no meaning.
    Options:           ``classes``: integer targets with up to this number of distinct values count as class indices.
    Try:               ``cross_entropy`` or ``binary_cross_entropy_with_logits`` on the logits;
                       ``lightning_tricks.suggest_loss(targets)`` names the one that fits.
    False alarms:      the Brier score, least-squares GANs; images of zeros and ones are left out.
    References:        Golik et al., Cross-Entropy vs. Squared Error Training, 2013.
    """
    graph = evidence.graph
    for loss, given, target in compared(graph, "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        aim = None if target is None else graph[target]
        if target is None or aim is None or aim.statistics is None or len(aim.shape) > 2:
            continue
        made = graph[graph.source(given)]
        from_integers = "int" in graph[graph.source(target)].dtype and "bool" not in aim.dtype
        if made.op in ("softmax", "sigmoid") and _is_binary(aim.statistics):
            message = f"`{loss.op}` compares {call_of(evidence, made)} with zeros and ones"
        elif (
            from_integers and made.op != "constant" and _are_indices(aim.statistics, classes) and _is_wide(graph[given])
        ):
            message = (
                f"`{loss.op}` compares predictions with {aim.statistics.distinct} distinct integers, which "
                "look like class indices"
            )
        else:
            continue
        yield Symptom(
            place_of(loss),
            message,
            "cross_entropy or binary_cross_entropy_with_logits, on the logits: lightning_tricks.suggest_loss(targets)",
        )


def _is_binary(found: Statistics) -> bool:
    return found.whole and found.low == 0 and found.high == 1


def _are_indices(found: Statistics, classes: int) -> bool:
    return found.whole and found.low >= 0 and found.high < classes and 2 <= (found.distinct or 0) <= classes


def _is_wide(given: Operation) -> bool:
    return len(given.shape) == 2 and given.shape[1] > 1


@rule("LOS005", "error", kind="batch", needs=("trace",), explains=("BEH001", "INI005"))
def softmax_single_output(evidence: Evidence) -> Iterator[Symptom]:
    """Softmax over a single output.

    What it looks at:  softmax and log-softmax over a dimension of size 1, if the result is the output or the input of a
                       loss.
    Why it matters:    the result is 1 for every input, and there is no gradient.
    Try:               a sigmoid, or two outputs.
    False alarms:      attention over one position is left out.
    References:        none.
    """
    for softmax in _final_softmaxes(evidence.graph):
        dim = _dim_of(softmax)
        if dim is not None and softmax.shape and softmax.shape[dim] == 1:
            message = f"{call_of(evidence, softmax)} over dimension {dim} of {list(softmax.shape)}, which has size 1"
            yield Symptom(softmax.module, message, "torch.sigmoid, or two outputs")


@rule("LOS006", "error", kind="batch", needs=("trace",), explains=("BEH002",))
def softmax_wrong_dim(evidence: Evidence) -> Iterator[Symptom]:
    """Softmax over the samples of a batch.

    What it looks at:  softmax and log-softmax over dimension 0, if it has the size of the batch and the result is the
                       output or the input of a loss; also calls without ``dim``, for which PyTorch chooses dimension 0
                       if there are 1 or 3 dimensions.
    Why it matters:    the probabilities of a sample then depend on the other samples and do not sum to 1.
    Try:               ``dim=-1``, or ``dim=1`` for images.
    False alarms:      sequence-first layouts; contrastive losses over the batch, whose output is square, are left out.
    References:        PyTorch documentation, ``softmax``.
    """
    size = evidence.batch.size if evidence.batch else None
    for softmax in _final_softmaxes(evidence.graph):
        guessed = softmax.settings.get("dim") is None
        if (
            _dim_of(softmax) != 0
            or len(softmax.shape) < 2
            or softmax.shape[0] != size
            or softmax.shape[0] == softmax.shape[1]
        ):
            continue
        how = "has no `dim`, so PyTorch uses dimension 0" if guessed else "is over dimension 0"
        message = f"{call_of(evidence, softmax)} {how} of {list(softmax.shape)}: the {size} samples of the batch"
        yield Symptom(softmax.module, message, "dim=-1, or dim=1 for maps of classes")


def _final_softmaxes(graph: Graph) -> Iterator[Operation]:
    for index, softmax in graph.find("softmax", "log_softmax"):
        users = graph.reached_by(index, SHAPES | {"log"})
        is_output = any(graph.source(end, SHAPES | {"log"}) == index for end in graph.trace.outputs)
        if is_output or any(graph[user].op in LOSSES for user in users):
            yield softmax


def _dim_of(operation: Operation) -> int | None:
    dim = operation.settings.get("dim")
    if dim is None:
        return 0 if len(operation.shape) in (0, 1, 3) else 1
    return dim % max(len(operation.shape), 1) if isinstance(dim, int) else None
