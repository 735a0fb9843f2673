"""The shapes, targets and scale of a loss, and its connection to the parameters."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.optimizer_facts import OptimizerFact
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.los.loss_inputs import compared, place_of
from lightning_tricks.doctor.rules.rule import Symptom, rule

_ELEMENTWISE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "kl_div")
_DISTANCES = frozenset(("pow", "square", "abs"))


@rule("LOS007", "error", kind="batch", needs=("trace",))
def loss_broadcast(evidence: Evidence) -> Iterator[Symptom]:
    """A loss of two tensors whose shapes differ.

    What it looks at:  element-wise losses, and manually computed differences whose square or absolute value enters the
                       loss, if the two shapes differ and broadcast.
    Why it matters:    (N, 1) against (N,) compares every prediction with every target: the mean is over N² errors, and
                       a constant prediction is optimal.
    Try:               ``squeeze(-1)`` or ``unsqueeze(-1)`` on one of the two.
    False alarms:      a scalar, or a side in which every dimension has size 1, is left out. Info if a difference has
                       one target and several predictions for each row: mixture densities and quantiles.
    References:        the warning of PyTorch in ``mse_loss``.
    """
    graph = evidence.graph
    for _, operation in graph.find(*_ELEMENTWISE):
        yield from _broadcast(operation, f"`{operation.op}`")
    leads_to_loss = graph.before(graph.trace.loss) if graph.trace.loss is not None else set()
    for index, difference in graph.find("sub"):
        squared = any(graph[user].op in _DISTANCES for user in graph.reached_by(index))
        if squared and index in leads_to_loss and _depends_on_target(graph, difference):
            yield from _broadcast(difference, "a difference that enters the loss", computed=True)


def _is_spread(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Return whether one of two tensors with as many dimensions is repeated to the shape of the other."""
    wide = tuple(map(max, first, second))
    return len(first) == len(second) and first != second and wide in (first, second) and first[:1] == second[:1]


def _broadcast(operation: Operation, what: str, *, computed: bool = False) -> Iterator[Symptom]:
    if len(operation.input_shapes) < 2:
        return
    first, second = operation.input_shapes[0], operation.input_shapes[1]
    if first != second and math.prod(first) > 1 and math.prod(second) > 1:
        message = f"{what} compares shapes {list(first)} and {list(second)}, which broadcast"
        severity: Severity | None = "info" if computed and _is_spread(first, second) else None
        yield Symptom(place_of(operation), message, "squeeze(-1) the prediction, or unsqueeze(-1) the target", severity)


def _depends_on_target(graph: Graph, operation: Operation) -> bool:
    """Return whether one side is a leaf of the batch and the other is a prediction."""
    sides = [graph[graph.source(each)] for each in operation.inputs]
    return sum(side.op == "batch" for side in sides) == 1 and any(side.requires_grad for side in sides)


@rule("LOS008", "warning", kind="batch", needs=("trace",))
def loss_sum_reduction(evidence: Evidence, *, lr: float = 1e-3) -> Iterator[Symptom]:
    """A loss that is summed over the batch.

    What it looks at:  loss calls with ``reduction="sum"`` whose result is not divided, and the learning rate of SGD.
    Why it matters:    the gradient grows with the batch size, but typical learning rates are for mean losses. Adam and
                       similar optimizers are invariant to the scale: info for them and for unknown optimizers.
    Options:           ``lr``: the learning rate of SGD from which it is a warning.
    Try:               ``reduction="mean"``, or divide by the batch size.
    False alarms:      the evidence lower bound of a VAE, which is a sum by definition: info if a KL term is added.
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
        # a division of the sum, or of a larger sum
        if {"div", "mul"} & {graph[user].op for user in graph.after(index)}:
            continue
        message = f"`{loss_call.op}` sums over {list(loss_call.input_shapes[0])}"
        severity: Severity | None = None if is_fast and not bounded else "info"
        yield Symptom(place_of(loss_call), message, 'reduction="mean"', severity)


def _is_fast(optimizer: OptimizerFact, lr: float) -> bool:
    rates = (group.settings.get("lr") for group in optimizer.groups)
    return "SGD" in optimizer.bases and any(isinstance(rate, (int, float)) and rate >= lr for rate in rates)


@rule("LOS010", "error", kind="batch", needs=("step",), explains=("BEH006", "BEH008"))
def loss_without_grad(evidence: Evidence) -> Iterator[Symptom]:
    """A loss that is not connected to trainable parameters.

    What it looks at:  whether the loss requires a gradient, and whether any trainable parameter receives one.
    Why it matters:    the backward pass raises an error, or the model learns nothing.
    Try:               remove ``detach()``, ``.item()``, ``.numpy()``, ``argmax`` and ``no_grad`` between the model and
                       the loss; unfreeze parameters.
    False alarms:      manual optimization, where the returned value need not be the loss, is left out.
    References:        none.
    """
    step = evidence.step
    if step is None or step.loss is None or step.manual:
        return
    remedy = "remove detach(), .item(), argmax and no_grad between the model and the loss"
    trainable = sum(parameter.requires_grad for parameter in evidence.model.parameters)
    if not step.requires_grad:
        message = f"the loss ({step.loss:.3g}) does not require a gradient, but {trainable} parameters are trainable"
        yield Symptom("loss", message, remedy)
    elif trainable and all(gradient.norm is None for gradient in step.gradients):
        yield Symptom("loss", f"none of {trainable} trainable parameters gets a gradient from the loss", remedy)


@rule("LOS011", "error", kind="batch", needs=("trace",))
def target_dtype_or_range(evidence: Evidence) -> Iterator[Symptom]:
    """Invalid targets of a cross entropy.

    What it looks at:  class indices that are negative (other than ``ignore_index``) or not less than the number of
                       classes; floating-point targets that are whole numbers above 1, which are read as class
                       probabilities, and targets of zeros and ones whose rows do not sum to 1 (a warning): several
                       labels at once.
    Why it matters:    the call raises an error (on a GPU it ends the whole process), or the loss measures something
                       else.
    Try:               ``target.long()``; indices that start at 0; as many outputs as classes;
                       ``binary_cross_entropy_with_logits`` for several labels;
                       ``lightning_tricks.suggest_loss(targets)`` names the loss that fits.
    False alarms:      soft labels, which are in [0, 1], are left out.
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
                message = f"`{loss.op}` received {aim.dtype} targets that are whole numbers up to {found.high:g}"
                yield Symptom(place_of(loss), message, "target.long()")
            elif found.whole and found.low == 0 and abs(found.mean * classes - 1) > 0.01:
                message = (
                    f"`{loss.op}` received zeros and ones with {found.mean * classes:.3g} ones in a row on average"
                )
                remedy = "binary_cross_entropy_with_logits for several labels: lightning_tricks.suggest_loss(targets)"
                yield Symptom(place_of(loss), message, remedy, "warning")
        elif found.low < 0 or found.high >= classes:
            message = f"`{loss.op}` has {classes} classes and targets in [{found.low:g}, {found.high:g}]"
            yield Symptom(place_of(loss), message, f"{int(found.high) + 1} outputs, or indices that start at 0")
