"""The shapes, targets and size of a loss, and whether it leads anywhere."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence, OptimizerFact
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Symptom, rule

_ELEMENTWISE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "kl_div")
_DISTANCES = frozenset(("pow", "square", "abs"))


@rule("LOS007", "error", kind="batch", needs=("trace",))
def loss_broadcast(evidence: Evidence) -> Iterator[Symptom]:
    """A loss of two shapes that differ.

    What it looks at:  element-wise losses, and differences made by hand that are squared or made absolute on the way to
                       the loss, whose two shapes differ and broadcast.
    Why it matters:    (N, 1) against (N,) compares every prediction with every target: N² errors, and a constant is the
                       best answer.
    Try:               ``squeeze(-1)`` or ``unsqueeze(-1)`` on one of them.
    False alarms:      a scalar, or one side of size 1 throughout, is left out.
    References:        PyTorch's own warning in ``mse_loss``.
    """
    graph = evidence.graph
    for _, operation in graph.find(*_ELEMENTWISE):
        yield from _broadcast(operation, f"`{operation.op}`")
    leads_to_loss = graph.before(graph.trace.loss) if graph.trace.loss is not None else set()
    for index, difference in graph.find("sub"):
        squared = any(graph[user].op in _DISTANCES for user in graph.reached_by(index))
        if squared and index in leads_to_loss and _depends_on_target(graph, difference):
            yield from _broadcast(difference, "a difference that is squared on the way to the loss")


def _broadcast(operation: Operation, what: str) -> Iterator[Symptom]:
    if len(operation.input_shapes) < 2:
        return
    first, second = operation.input_shapes[0], operation.input_shapes[1]
    if first != second and math.prod(first) > 1 and math.prod(second) > 1:
        message = f"{what} compares shapes {list(first)} and {list(second)}, which broadcast"
        yield Symptom(place_of(operation), message, "squeeze(-1) the prediction, or unsqueeze(-1) the target")


def _depends_on_target(graph: Graph, operation: Operation) -> bool:
    """Say whether one side is a leaf of the batch and the other is predicted."""
    sides = [graph[graph.source(each)] for each in operation.inputs]
    return sum(side.op == "batch" for side in sides) == 1 and any(side.requires_grad for side in sides)


@rule("LOS008", "warning", kind="batch", needs=("trace",))
def loss_sum_reduction(evidence: Evidence, *, lr: float = 1e-3) -> Iterator[Symptom]:
    """A loss that is summed over the batch.

    What it looks at:  loss calls with ``reduction="sum"`` whose result is not divided, and the rate of SGD.
    Why it matters:    the gradient grows with the batch: the customary learning rates are for means. Adam and its kin
                       do not see the scale: info, as without a known optimizer.
    Options:           ``lr``: a warning from that rate of SGD on.
    Try:               ``reduction="mean"``, or divide by the batch size.
    False alarms:      the evidence lower bound of a VAE, which is a sum by nature: info beside a KL term.
    References:        Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """
    graph = evidence.graph
    is_fast = any(_is_fast(optimizer, lr) for optimizer in evidence.optimizers or ())
    bounded = any(True for _ in graph.find("kl_div", "randn"))
    for index, loss_call in graph.find(*LOSSES):
        if (
            loss_call.settings.get("reduction") != "sum"
            or not loss_call.input_shapes
            or loss_call.input_shapes[0][:1] in ((), (1,))
        ):
            continue
        # a division of the sum, or of what it was added to
        if {"div", "mul"} & {graph[user].op for user in graph.after(index)}:
            continue
        message = f"`{loss_call.op}` sums over {list(loss_call.input_shapes[0])}"
        severity: Severity | None = None if is_fast and not bounded else "info"
        yield Symptom(place_of(loss_call), message, 'reduction="mean"', severity)


def _is_fast(optimizer: OptimizerFact, lr: float) -> bool:
    rates = (group.settings.get("lr") for group in optimizer.groups)
    return "SGD" in optimizer.bases and any(isinstance(rate, (int, float)) and rate >= lr for rate in rates)


@rule("LOS009", "info", kind="batch", needs=("trace",))
def auxiliary_loss_scale(evidence: Evidence, *, ratio: float = 100.0) -> Iterator[Symptom]:
    """Terms of a loss whose sizes are far apart.

    What it looks at:  the scalars that are added up to the loss.
    Why it matters:    the smaller term hardly counts, or the larger one drowns the rest.
    Options:           ``ratio``: how far apart the largest and the smallest may be.
    Try:               weigh the terms so that they begin within a factor of ten.
    False alarms:      terms that begin near zero by design, as a KL term under warm-up: hence info.
    References:        Kendall et al., Multi-Task Learning Using Uncertainty, 2018.
    """
    graph = evidence.graph
    if graph.trace.loss is None:
        return
    terms = [graph[index] for index in _terms(graph, graph.trace.loss)]
    sizes = [abs(term.statistics.mean) for term in terms if term.statistics is not None and term.requires_grad]
    sizes = [size for size in sizes if size > 0 and math.isfinite(size)]
    if len(sizes) > 1 and max(sizes) > ratio * min(sizes):
        message = f"terms of {min(sizes):.3g} and {max(sizes):.3g} are added, more than {ratio:g}× apart"
        yield Symptom("loss", message, "a weight for each term")


def _terms(graph: Graph, index: int) -> list[int]:
    operation = graph[index]
    if operation.op in ("add", "sub") and operation.shape == () and operation.inputs:
        return [term for each in operation.inputs for term in _terms(graph, each)]
    return [index]


@rule("LOS010", "error", kind="batch", needs=("step",), explains=("BEH006", "BEH008"))
def loss_without_grad(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that leads back to nothing.

    What it looks at:  whether the loss requires a gradient, and whether any trainable parameter gets one.
    Why it matters:    the backward pass raises, or nothing is learnt.
    Try:               no ``detach()``, ``.item()``, ``.numpy()``, ``argmax`` or ``no_grad`` between model and loss;
                       unfrozen parameters.
    False alarms:      manual optimization, where the returned value need not be the loss, is left out.
    References:        none.
    """
    step = evidence.step
    if step is None or step.loss is None or step.manual:
        return
    remedy = "no detach(), .item(), argmax or no_grad between the model and the loss"
    trainable = sum(parameter.requires_grad for parameter in evidence.model.parameters)
    if not step.requires_grad:
        message = f"the loss ({step.loss:.3g}) requires no gradient; {trainable} parameters are to be trained"
        yield Symptom("loss", message, remedy)
    elif trainable and all(gradient.norm is None for gradient in step.gradients):
        yield Symptom("loss", f"none of {trainable} trainable parameters gets a gradient from the loss", remedy)


@rule("LOS011", "error", kind="batch", needs=("trace",))
def target_dtype_or_range(evidence: Evidence) -> Iterator[Symptom]:
    """Targets that a cross entropy cannot mean.

    What it looks at:  class indices below 0 (other than ``ignore_index``) or not below the number of classes; floats of
                       whole numbers above 1 given as class probabilities.
    Why it matters:    the call raises, on a GPU for the whole process, or the loss is of something else.
    Try:               ``target.long()``; indices from 0; as many outputs as classes.
    False alarms:      soft labels, which lie in [0, 1], are left out.
    References:        PyTorch documentation, ``CrossEntropyLoss``.
    """
    graph = evidence.graph
    for loss, given, target in compared(graph, "cross_entropy", "nll_loss"):
        aim = None if target is None else graph[target]
        shape = graph[given].shape
        if aim is None or aim.statistics is None or not shape:
            continue
        classes, found = shape[1] if len(shape) > 1 else shape[0], aim.statistics
        if "float" in aim.dtype:
            if found.whole and (aim.shape != shape or found.high > 1):
                message = f"`{loss.op}` is given {aim.dtype} targets of whole numbers up to {found.high:g}"
                yield Symptom(place_of(loss), message, "target.long()")
        elif found.low < 0 or found.high >= classes:
            message = f"`{loss.op}` has {classes} classes and targets in [{found.low:g}, {found.high:g}]"
            yield Symptom(place_of(loss), message, f"{int(found.high) + 1} outputs, or indices from 0")
