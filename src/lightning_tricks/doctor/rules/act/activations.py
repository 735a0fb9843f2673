"""Saturated and dead units, and outputs that cannot reach their targets."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import DROPOUTS, SHAPES, words
from lightning_tricks.doctor.facts.roles import NORMS, is_between_layers, parameters_of, targets
from lightning_tricks.doctor.rules.act.activations_in_run import dead_units_in_run, saturated_units_in_run
from lightning_tricks.doctor.rules.rule import NotChecked, Observed, Symptom, Symptoms, rule

_REGRESSION = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
# indices into a target's shares (below -1, below 0, above 1) that lie outside an activation's range
_OUT_OF_REACH = {"relu": (1,), "softplus": (1,), "relu6": (1,), "sigmoid": (1, 2), "tanh": (0, 2)}
_SAME_AXIS = (SHAPES - words("permute transpose swapaxes swapdims movedim moveaxis T mT t H")) | DROPOUTS
_BEFORE_IT = SHAPES | DROPOUTS | words("sigmoid tanh")
_SUMS = words("add sub")
_RANGES = {"sigmoid": "[0, 1]", "tanh": "[-1, 1]"}


@rule("ACT001", "warning", kind="batch", needs=("trace",))
def saturating_hidden_activation(evidence: Evidence, *, sigmoids: int = 2, tanhs: int = 4) -> Iterator[Symptom]:
    """Sigmoid or tanh between the layers of a deep net.

    What it looks at:  sigmoids and tanhs whose result goes into the weights of a further layer; the longest chain of
                       them.
    Why it matters:    the slope of a sigmoid is at most a quarter: the gradient shrinks at every layer and vanishes
                       where units saturate.
    Options:           ``sigmoids``, ``tanhs``: the length of a chain from which it is reported.
    Try:               ReLU or GELU in hidden layers.
    False alarms:      gates (the result is multiplied), recurrent cells and activations whose input is normalized are
                       left out; a layer that is called again and again, as in an unrolled recurrence or a neural ODE,
                       counts once. Networks for differential equations need a smooth activation.
    References:        Glorot & Bengio, 2010, §3; Glorot et al., 2011.
    """
    graph = evidence.graph
    for op, limit in (("sigmoid", sigmoids), ("tanh", tanhs)):
        found = [i for i, _ in graph.find(op) if is_between_layers(graph, i) and not _is_normalized(graph, i)]
        hidden = _of_different_layers(graph, found)
        depth = _longest_chain(graph, hidden)
        if depth >= limit:
            message = f"{depth} hidden {op}s in a chain of layers, {limit} or more"
            yield Symptom(graph[hidden[0]].module, message, "nn.ReLU() or nn.GELU() in hidden layers")


def _of_different_layers(graph: Graph, activations: list[int]) -> list[int]:
    """Return the activations without those whose layer has the parameters of an earlier one."""
    kept: dict[object, int] = {}
    for index in activations:
        kept.setdefault(frozenset(_parameters_before(graph, index)) or index, index)
    return list(kept.values())


def _parameters_before(graph: Graph, index: int) -> set[str]:
    """Return the parameters of the layer before an activation, or of all layers whose results are added before it."""
    operation = graph[index]
    if operation.op in _SUMS:
        return {name for each in operation.inputs for name in _parameters_before(graph, each)}
    if operation.op in _BEFORE_IT and operation.inputs:
        return _parameters_before(graph, operation.inputs[0])
    return {operation.module} if operation.op == "parameter" else set(parameters_of(graph, index))


@rule("ACT002", "warning", kind="batch", needs=("trace",), in_run=saturated_units_in_run)
def saturated_activations(
    evidence: Evidence, *, limit: float = 0.5, samples: int = 8
) -> Iterator[Symptom | NotChecked]:
    """Saturated sigmoids or tanhs.

    What it looks at:  the share of units that are beyond ±0.97 (tanh) or outside [0.03, 0.97] (sigmoid) on over 90%
                       of the samples: of the first batch, and during training of three measured batches (one in
                       ``log_every_n_steps``) in a row, if the share has grown.
    Why it matters:    the slope is nearly zero there, and the unit does not learn.
    Options:           ``limit``: the share of units above which it is reported; ``samples``: smaller batches are not
                       judged.
    Try:               scaled inputs, a smaller initialization, a normalization layer before the activation.
    False alarms:      gates that are open or closed by design are left out.
    References:        TheDeepChecker, TOSEM 2023; Glorot & Bengio, 2010.
    """
    graph = evidence.graph
    hidden = [operation for i, operation in graph.find("sigmoid", "tanh") if is_between_layers(graph, i)]
    if hidden and not _has_samples(evidence, samples):
        yield NotChecked(f"fewer than {samples} samples in the batch")
        return
    for operation in hidden:
        if operation.saturated is not None and operation.saturated > limit:
            message = f"{operation.saturated:.0%} of the units of this {operation.op} are saturated, above {limit:.0%}"
            yield Symptom(
                operation.module,
                message,
                "scale the inputs, initialize the weights smaller, or normalize before the activation",
            )


@rule("ACT003", "warning", kind="batch", needs=("trace",), explains=("BEH006",), in_run=dead_units_in_run)
def dead_relu(evidence: Evidence, *, limit: float = 0.4, at_start: float = 0.75, samples: int = 32) -> Symptoms:
    """ReLU units that are never active.

    What it looks at:  the share of a ReLU's units (channels) that are zero on every sample of the first batch, and
                       during training on every sample of three measured batches (one in ``log_every_n_steps``), if the
                       share has grown.
    Why it matters:    a unit that is zero on every input gets no gradient and cannot recover.
    Options:           ``limit``: the share above which it is reported; ``at_start``: the share above which it is a
                       warning in a model that has not been trained; ``samples``: with fewer samples it is info.
    Try:               He initialization; scaled inputs; a lower learning rate or a warm-up; a leaky activation.
    False alarms:      intended sparsity, batches of padding, few samples. If the samples are similar, half of the units
                       of a healthy initialization are zero on all of them, and most become active later: info at the
                       start.
    References:        Lu et al., Dying ReLU and initialization, 2020.
    """
    enough = _has_samples(evidence, samples)
    shares = [each.dead for each in evidence.graph.operations if each.op in ("relu", "relu6") and each.dead is not None]
    if shares:
        yield Observed(f"up to {max(shares):.0%} of the units of a ReLU are 0 on all samples, {limit:.0%} allowed")
    for operation in evidence.graph.operations:
        if operation.op in ("relu", "relu6") and operation.dead is not None and operation.dead > limit:
            message = (
                f"{operation.dead:.0%} of the units of this {operation.op} are 0 on all samples, above {limit:.0%}"
            )
            warn = limit if evidence.model.is_pretrained(operation.module) else max(limit, at_start)
            remedy = "nn.init.kaiming_normal_(weight), bias 0; scaled inputs; nn.LeakyReLU()"
            yield Symptom(operation.module, message, remedy, None if enough and operation.dead > warn else "info")


@rule("ACT004", "error", kind="batch", needs=("trace", "batch"))
def output_range_mismatch(evidence: Evidence, *, limit: float = 0.05) -> Iterator[Symptom]:
    """Outputs that cannot reach their targets.

    What it looks at:  a ReLU, sigmoid, tanh or softplus as the last operation before a regression loss, and the share
                       of targets outside its range.
    Why it matters:    the model cannot learn these targets with any weights.
    Options:           ``limit``: the share of targets above which it is reported.
    Try:               no activation after the last layer, or targets that are scaled into its range.
    False alarms:      targets that are clipped on purpose.
    References:        Stack Overflow 48221692, 60801900.
    """
    graph = evidence.graph
    columns = {leaf.path: leaf.columns for leaf in targets(evidence) if leaf.columns}
    for _, loss in graph.find(*_REGRESSION):
        sources = [graph.source(each) for each in loss.inputs[:2]]
        last = next((graph[each] for each in sources if graph[each].op in _OUT_OF_REACH), None)
        leaves = (graph[each].module for each in sources if graph[each].op == "batch")
        target = next((columns[leaf] for leaf in leaves if leaf in columns), None)
        if last is None or target is None:
            continue
        share = sum(target.shares[which] for which in _OUT_OF_REACH[last.op])
        if share > limit:
            reach = _RANGES.get(last.op, "[0, ∞)")
            message = (
                f"{share:.0%} of {loss.op}'s targets are outside the range {reach} of {last.op}, above {limit:.0%}"
            )
            yield Symptom(last.module, message, "remove the last activation, or scale the targets into its range")


def _longest_chain(graph: Graph, chosen: list[int]) -> int:
    """Return the largest number of the chosen operations on one path through a trace."""
    depths = [0] * len(graph.operations)
    counted = set(chosen)
    for index, operation in enumerate(graph.operations):
        depths[index] = max((depths[each] for each in operation.inputs), default=0) + (index in counted)
    return max(depths, default=0)


def _is_normalized(graph: Graph, index: int) -> bool:
    before = graph[index].inputs
    return bool(before) and graph[graph.source(before[0], SHAPES | DROPOUTS)].op in NORMS


def _has_samples(evidence: Evidence, least: int) -> bool:
    return evidence.batch is not None and evidence.batch.size is not None and evidence.batch.size >= least


@rule("ACT005", "warning", kind="batch", needs=("trace",))
def softmax_between_layers(evidence: Evidence) -> Iterator[Symptom]:
    """A softmax as the activation of a hidden layer.

    What it looks at:  a softmax of the result of a linear layer that goes into another linear layer with a bias.
    Why it matters:    the units of the layer then sum to 1: with many units each is near 0, and so is its gradient.
    Try:               ReLU or GELU in hidden layers; a softmax only for probabilities.
    False alarms:      attention, mixtures of experts and codebooks are left out: their softmax weights other tensors.
                       Class probabilities that a second model takes as its input.
    References:        none.
    """
    graph = evidence.graph
    for index, softmax in graph.find("softmax"):
        given = softmax.fed_by("input")
        is_last = softmax.settings.get("dim") in (-1, len(softmax.shape) - 1)
        if given is None or not is_last or graph[graph.source(given)].op != "linear":
            continue
        for user in graph.reached_by(index, _SAME_AXIS):
            layer = graph[user]
            source = layer.fed_by("input")
            is_input = source is not None and graph.source(source, _SAME_AXIS) == index
            if layer.op == "linear" and is_input and layer.fed_by("bias") is not None:
                message = f"{call_of(evidence, softmax)} of {softmax.shape[-1]} units feeds {call_of(evidence, layer)}"
                yield Symptom(softmax.module, message, "nn.ReLU() or nn.GELU() in hidden layers")
                break
