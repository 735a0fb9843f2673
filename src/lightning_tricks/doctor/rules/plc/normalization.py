"""The values that a normalization averages over, and where it is used."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.trace_facts import Operation, Statistics
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("PLC015", "error", kind="batch", needs=("trace",))
def normalization_over_one_value(evidence: Evidence) -> Iterator[Symptom]:
    """A normalization whose statistics are over a single value.

    What it looks at:  the number of values that each layer, RMS, group or instance norm averages over.
    Why it matters:    a value minus its own mean is 0, so the result is the bias for every input. (An RMS norm keeps
                       only the sign.)
    Try:               normalize over another axis, use fewer groups, or remove the norm.
    False alarms:      a norm whose single value passes only into a softmax over it, which is 1 anyway (the selection
                       of one variable): info.
    References:        Ba et al., Layer Normalization, 2016; Wu & He, Group Normalization, 2018.
    """
    graph = evidence.graph
    for index, norm in graph.find("layer_norm", "rms_norm", "group_norm", "instance_norm"):
        if _values(norm) == 1:
            users = [graph[user] for user in graph.reached_by(index)]
            is_idle = bool(users) and all(user.op == "softmax" and user.shape[-1:] == (1,) for user in users)
            message = f"{call_of(evidence, norm)} normalizes {list(norm.input_shapes[0])} over 1 value"
            message += ", which keeps only its sign" if norm.op == "rms_norm" else ", which makes it 0 (plus the bias)"
            remedy = "normalize over another axis, use fewer groups, or remove it"
            yield Symptom(norm.module, message, remedy, "info" if is_idle else None)


def _values(norm: Operation) -> int | None:
    """Return the number of values that a norm averages over, or ``None`` if it is unknown."""
    shape = norm.input_shapes[0] if norm.input_shapes else ()
    if norm.op in ("layer_norm", "rms_norm"):
        axes = sum(key.startswith("normalized_shape.") for key in norm.settings)
        return math.prod(shape[-axes:]) if axes and len(shape) >= axes else None
    if len(shape) < 2:
        return None
    positions = math.prod(shape[2:])
    if norm.op == "instance_norm":
        return positions if norm.settings.get("use_input_stats", True) else None
    groups = norm.settings.get("num_groups")
    return positions * (shape[1] // int(groups)) if isinstance(groups, int) and groups else None


@rule("PLC016", "warning", kind="batch", needs=("trace",))
def batchnorm_shared(evidence: Evidence, *, shift: float = 1.0, ratio: float = 2.0) -> Iterator[Symptom]:
    """One batch norm used in several places.

    What it looks at:  batch norms that one step calls on the results of different layers; the mean and the standard
                       deviation of each input.
    Why it matters:    the running statistics are an average over the places and fit none of them, so the model behaves
                       differently in eval mode. If the inputs are similar at the start, it is info.
    Options:           ``shift``: the largest distance between the means, in standard deviations; ``ratio``: the largest
                       ratio of the standard deviations.
    Try:               a separate batch norm for each place.
    False alarms:      a network that is applied to several inputs (siamese branches, real and generated images) calls
                       its batch norms in the same place and is left out.
    References:        Cooijmans et al., Recurrent Batch Normalization, 2017, §3.
    """
    graph = evidence.graph
    calls: dict[str, dict[str, Statistics]] = {}
    for _, norm in graph.find("batch_norm"):
        given = norm.fed_by("input")
        if given is None or not norm.settings.get("training", True) or not evidence.model.is_layer(norm.module):
            continue
        statistics = graph[given].statistics
        if statistics is not None:
            calls.setdefault(norm.module, {}).setdefault(_source(graph, given), statistics)
    for path, places in calls.items():
        first, *others = places.values()
        far = [other for other in others if _differ_in_scale(first, other, shift, ratio)]
        module = evidence.model.module(path)
        if others and module is not None:
            other = far[0] if far else others[0]
            message = (
                f"{module.kind} is called in {len(places)} places ({', '.join(places)}), on values of mean "
                f"{first.mean:.2g} ± {first.std:.2g} and {other.mean:.2g} ± {other.std:.2g}"
            )
            yield Symptom(path, message, "a separate batch norm for each place", None if far else "info")


def _source(graph: Graph, index: int) -> str:
    """Return the layer whose result a batch norm receives, by its parameter if it was called as a function."""
    while graph[index].inputs and not graph[index].module:
        index = graph[index].inputs[0]
    named = [graph[each].module for each in graph[index].inputs if graph[each].op == "parameter"]
    return named[0].rpartition(".")[0] if named else graph[index].module or graph[index].op


def _differ_in_scale(first: Statistics, other: Statistics, shift: float, ratio: float) -> bool:
    low, high = sorted((first.std, other.std))
    return abs(first.mean - other.mean) > shift * max(high, 1e-12) or high > ratio * max(low, 1e-12)


@rule("PLC017", "warning", kind="static")
def batchnorm_momentum(evidence: Evidence, *, low: float = 0.003, high: float = 0.5) -> Iterator[Symptom]:
    """A batch norm whose momentum is out of range.

    What it looks at:  ``momentum`` of each batch norm that updates its statistics.
    Why it matters:    in PyTorch, the momentum is the weight of the *new* batch. At 0.99 the running statistics are
                       those of the last batch; at 0.001 they take thousands of steps to move away from their initial
                       values.
    Options:           ``low``, ``high``: the range, both ends included.
    Try:               0.1, or 0.01 with many steps. A momentum of 0.99 in Keras or TensorFlow is 0.01 in PyTorch.
    False alarms:      ``momentum=None``, the plain average over all batches, is valid.
    References:        PyTorch documentation, ``BatchNorm2d``, note on momentum.
    """
    held: dict[tuple[str, float], list[str]] = {}
    for module in evidence.model.modules:
        momentum = module.settings.get("momentum")
        learns = module.isa("_BatchNorm") and module.settings.get("track_running_stats", True)
        if learns and isinstance(momentum, (int, float)) and not low <= momentum <= high:
            held.setdefault((module.kind, momentum), []).append(module.path)
    for (kind, momentum), paths in held.items():
        what = "the weight of the new batch"
        message = f"{kind} has momentum = {momentum:g}, {what}, outside [{low:g}, {high:g}]"
        is_swapped = low <= 1 - momentum <= high
        remedy = f"momentum={1 - momentum:.3g}: other frameworks define momentum as the weight of the old value"
        yield Symptom(paths[0], message, remedy if is_swapped else "momentum=0.1", repeats=len(paths))
