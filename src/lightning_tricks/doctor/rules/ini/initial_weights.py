"""Initial values of weights and biases."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.model_facts import ParameterFact
from lightning_tricks.doctor.facts.operations import ACTIVATIONS, DROPOUTS, RECURRENT, SHAPES, WEIGHTS
from lightning_tricks.doctor.facts.roles import (
    calls_of,
    is_added_or_multiplied,
    is_norm,
    is_normalized,
    output_weights,
    parameters_of,
    weights,
)
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule

# the gain that compensates for each activation (He et al., 2015; torch.nn.init.calculate_gain)
_GAINS = {"relu": math.sqrt(2), "leaky_relu": math.sqrt(2), "relu6": math.sqrt(2), "tanh": 5 / 3, "selu": 0.75}
_ON_PURPOSE = ("lora", "adaln", "ada_ln", "gate", "zero", "modulation")
_SCALES = ("sigma", "rho", "std", "scale", "var", "mask")
_DRAW = "tricks=[initialize_weights] or nn.init.kaiming_normal_(weight)"


@rule("INI001", "error", kind="static", explains=("BEH001", "BEH006", "INI002", "INI003", "ACT003"))
def constant_init_weights(evidence: Evidence) -> Iterator[Symptom]:
    """A layer whose weights are all equal.

    What it looks at:  the trainable weight of each linear, convolutional and recurrent layer with at least two units:
                       whether all numbers or all rows are equal.
    Why it matters:    units with equal initial weights get the same gradient and stay equal: the layer acts as a single
                       unit. If all weights are zero, there may be no gradient at all.
    Try:               He or Glorot initialization (``tricks=[initialize_weights]``, ``nn.init.kaiming_normal_``,
                       ``nn.init.xavier_uniform_``), or PyTorch's default.
    False alarms:      info for the output layer, whose units have different targets, and for intended zeros: the end of
                       a residual branch, gates, coupling layers of flows, the second matrix of LoRA. Frozen filters are
                       left out, and so are scales of weights that differ, such as the deviations of a Bayesian layer.
    References:        Goodfellow et al., Deep Learning, 2016, §8.4.
    """
    last = output_weights(evidence)
    for weight in weights(evidence):
        if weight.statistics is None or not weight.requires_grad or weight.shape[0] < 2 or weight.statistics.count < 4:
            continue
        seen, kind = weight.statistics, _kind(evidence, weight)
        if _is_scale(evidence, weight):
            continue
        if seen.std == 0 or seen.low == seen.high:
            severity = _purpose(evidence, weight, last)
            after = ", from which training can move away" if severity == "info" else ": its units stay equal"
            yield Symptom(
                weight.module, f"{kind}'s {_short(weight)} is {seen.mean:.3g} everywhere{after}", _DRAW, severity
            )
        elif weight.duplicate_rows == 1 - 1 / min(weight.shape[0], 4096) and not _rows_have_own_inputs(
            evidence, weight
        ):
            effect, severity = (
                ("training can separate them", "info") if weight.name in last else ("its units stay equal", None)
            )
            message = f"all {weight.shape[0]} rows of {kind}'s {_short(weight)} are equal: {effect}"
            yield Symptom(weight.module, message, _DRAW, severity)


@rule("INI002", "warning", kind="static")
def duplicate_units(evidence: Evidence, *, limit: float = 0.5) -> Iterator[Symptom]:
    """Units that are copies of other units.

    What it looks at:  the share of rows of a layer's weight that equal an earlier row.
    Why it matters:    a copy gets the same gradient as its original and adds nothing.
    Options:           ``limit``: the share above which it is reported.
    Try:               ``tricks=[initialize_weights]``, which draws each row; after widening a network with copies, add
                       a little noise.
    False alarms:      embeddings with padding, grouped convolutions and the output layer, whose units have different
                       targets, are left out.
    References:        Goodfellow et al., Deep Learning, 2016, §8.4.
    """
    last = output_weights(evidence)
    for weight in weights(evidence):
        share = weight.duplicate_rows
        if (
            share is None
            or weight.name in last
            or weight.statistics is None
            or not weight.requires_grad
            or weight.statistics.std == 0
        ):
            continue
        if limit < share < 1 - 1 / min(weight.shape[0], 4096) and not _rows_have_own_inputs(evidence, weight):
            layer = f"{_kind(evidence, weight)}'s {_short(weight)}"
            message = f"{share:.0%} of the rows of {layer} equal an earlier row, above {limit:.0%}"
            yield Symptom(weight.module, message, _DRAW)


@rule("INI003", "warning", kind="static", explains=("ACT002", "ACT003", "INI005"))
def init_gain_mismatch(
    evidence: Evidence, *, factor: float = 4.0, growth: float = 10.0, shrinkage: float = 1000.0
) -> Iterator[Symptom]:
    """Initial weights that are too small or too large for their activation.

    What it looks at:  std · sqrt(fan_in) of each hidden layer against the gain of the activation after it (ReLU √2,
                       tanh 5/3, linear 1); with a batch, also the outputs of the first hidden layer against those of
                       the last one.
    Why it matters:    signal and gradient shrink or grow by this factor in every layer.
    Options:           ``factor``: the largest factor between a scale and its gain; ``growth``, ``shrinkage``: the same
                       over the whole network.
    Try:               ``tricks=[initialize_weights]``, which finds the gain of each layer;
                       ``nn.init.kaiming_normal_(weight, nonlinearity="relu")``, ``xavier_uniform_`` before tanh.
    False alarms:      PyTorch's default uniform initialization (gain 1/√3) passes. Networks with normalization are left
                       out, because the scale does not matter there; so are recurrent and transposed layers, which
                       PyTorch initializes by another width, and pretrained networks. Small weights of a residual
                       branch are info, because the signal also passes by the branch.
    References:        He et al., Delving deep into rectifiers, 2015; Glorot & Bengio, 2010.
    """
    if is_normalized(evidence) or evidence.model.pretrained_share > 0.5:
        return
    last, found = output_weights(evidence), False
    for weight in weights(evidence):
        if weight.name in last or weight.statistics is None or weight.statistics.std == 0 or not weight.requires_grad:
            continue
        if not _is_drawn_by_fan_in(evidence, weight) or evidence.model.is_pretrained(weight.module):
            continue
        fan_in = _fan_in(evidence, weight)
        scale, gains = weight.statistics.std * math.sqrt(fan_in), _gains_after(evidence, weight)
        low, high = min(gains) / factor, max(gains) * factor
        if not low <= scale <= high and fan_in >= 4:
            found = True
            message = (
                f"{_kind(evidence, weight)}'s {_short(weight)} has std · sqrt({fan_in}) = {scale:.3g}, "
                f"outside [{low:.2g}, {high:.2g}] for the activation after it"
            )
            severity: Severity | None = "info" if scale < low and _is_bypassed(evidence, weight) else None
            remedy = "tricks=[initialize_weights] or nn.init.kaiming_normal_(weight)"
            yield Symptom(weight.module, message, remedy, severity)
    if not found:
        yield from _across_layers(evidence, last, growth, shrinkage)


@rule("INI004", "info", kind="static")
def nonzero_bias_init(evidence: Evidence, *, limit: float = 1.0) -> Iterator[Symptom]:
    """Hidden biases far from zero.

    What it looks at:  the largest absolute bias of each hidden linear and convolutional layer.
    Why it matters:    such a unit is on or off regardless of its input.
    Options:           ``limit``: the absolute bias above which it is reported.
    Try:               ``tricks=[initialize_weights]`` or ``nn.init.zeros_(layer.bias)``.
    False alarms:      priors in the bias of the output layer, forget gates and pretrained parts are left out.
    References:        NeuraLint, 2021.
    """
    last = {name.rpartition(".")[0] for name in output_weights(evidence)}
    for parameter in evidence.model.parameters:
        owner, seen = evidence.model.module(parameter.module), parameter.statistics
        if owner is None or seen is None or parameter.name.rpartition(".")[2] != "bias" or parameter.module in last:
            continue
        if is_norm(owner) or owner.isa("RNNBase", "RNNCellBase") or not parameter.requires_grad:
            continue
        if evidence.model.is_pretrained(parameter.module):
            continue
        largest = max(abs(seen.low), abs(seen.high))
        if largest > limit:
            message = f"{owner.kind} has a bias of {largest:.3g}, beyond ±{limit:g}"
            yield Symptom(parameter.module, message, "tricks=[initialize_weights] or nn.init.zeros_(bias)")


def _is_scale(evidence: Evidence, weight: ParameterFact) -> bool:
    """Return whether weights are, by their name, scales of others in the same layer, whose values differ."""
    if not any(word in weight.name.rpartition(".")[2].lower() for word in _SCALES):
        return False
    return any(
        other.module == weight.module
        and other.shape == weight.shape
        and other.statistics is not None
        and other.statistics.std > 0
        for other in evidence.model.parameters
    )


def _purpose(evidence: Evidence, parameter: ParameterFact, last: set[str]) -> Severity | None:
    """Return ``info`` for equal weights that training can separate, and for zeros that are typical in their place."""
    if parameter.name in last:
        return "info"  # each output has its own targets and its own gradient
    if parameter.statistics is None or parameter.statistics.high != 0:
        return None
    if any(word in parameter.name.lower() for word in _ON_PURPOSE):
        return "info"
    if evidence.trace is not None:
        graph = evidence.graph
        calls = calls_of(graph, parameter.name)
        return "info" if calls and all(is_added_or_multiplied(graph, i) for i in calls) else None
    parent = parameter.module.rpartition(".")[0]
    siblings = [w.name for w in weights(evidence) if parent and w.module.startswith(f"{parent}.")]
    owner = evidence.model.module(parent)
    ends_a_block = (
        siblings[-1:] == [parameter.name] and len(siblings) > 1 and owner is not None and owner.kind != "Sequential"
    )
    return "info" if ends_a_block else None  # without a trace it may be the end of a residual branch


def _is_bypassed(evidence: Evidence, weight: ParameterFact) -> bool:
    """Return whether an input of a layer also reaches the outputs without it, as past a residual branch."""
    if evidence.trace is None:
        return False
    graph = evidence.graph
    calls = set(calls_of(graph, weight.name))
    given = {index for index in graph.before(*calls) if graph[index].op == "batch"}
    return bool(given & graph.before(*graph.trace.outputs, stops=calls))


def _across_layers(evidence: Evidence, last: set[str], growth: float, shrinkage: float) -> Iterator[Symptom]:
    if evidence.trace is None:
        return
    graph = evidence.graph
    layers = [
        operation
        for i, operation in graph.find(*(WEIGHTS - RECURRENT))
        if operation.statistics is not None
        and (operation.statistics.std or not _starts_at_zero(evidence, graph, i))
        and (names := parameters_of(graph, i))
        and last.isdisjoint(names)
    ]
    if len(layers) < 3 or not layers[0].statistics or not layers[-1].statistics or not layers[0].statistics.std:
        return
    ratio = layers[-1].statistics.std / layers[0].statistics.std
    if ratio > growth or ratio < 1 / shrinkage:
        message = (
            f"the outputs' std goes from {layers[0].statistics.std:.3g} at {layers[0].module} to "
            f"{layers[-1].statistics.std:.3g} here, beyond × {growth:g} or / {shrinkage:g}"
        )
        yield Symptom(layers[-1].module, message, "tricks=[initialize_weights], or normalization between the layers")


def _starts_at_zero(evidence: Evidence, graph: Graph, index: int) -> bool:
    """Return whether a layer's weights are all zero: the end of a residual branch."""
    found = (evidence.model.parameter(name) for name in parameters_of(graph, index))
    matrices = [each.statistics for each in found if each is not None and each.statistics and len(each.shape) > 1]
    return bool(matrices) and all(seen.low == seen.high == 0 for seen in matrices)


def _gains_after(evidence: Evidence, parameter: ParameterFact) -> list[float]:
    """Return the gains of the activations that follow; without a trace, both ends of the typical range."""
    if evidence.trace is None:
        return [1.0, 5 / 3]
    graph = evidence.graph
    users = [user for i in calls_of(graph, parameter.name) for user in graph.reached_by(i, SHAPES | DROPOUTS)]
    found = [_GAINS.get(graph[user].op, 1.0) for user in users if graph[user].op in ACTIVATIONS]
    return found or [1.0, 5 / 3]


def _fan_in(evidence: Evidence, parameter: ParameterFact) -> int:
    owner = evidence.model.module(parameter.module)
    if owner is not None and owner.kind == "Conv1D":  # of transformers: (in, out)
        return parameter.shape[0]
    return math.prod(parameter.shape[1:])


def _is_drawn_by_fan_in(evidence: Evidence, parameter: ParameterFact) -> bool:
    owner = evidence.model.module(parameter.module)
    return owner is not None and owner.isa("Linear", "Conv1d", "Conv2d", "Conv3d", "Conv1D")


def _rows_have_own_inputs(evidence: Evidence, parameter: ParameterFact) -> bool:
    """Return whether equal rows are not copies: each has its own inputs, or rows are not units."""
    owner = evidence.model.module(parameter.module)
    if owner is None:
        return False
    groups = owner.settings.get("groups", 1)
    grouped = isinstance(groups, int) and groups > 1
    return grouped or owner.kind == "Conv1D" or any("Transpose" in base for base in owner.bases)


def _kind(evidence: Evidence, parameter: ParameterFact) -> str:
    owner = evidence.model.module(parameter.module)
    return owner.kind if owner is not None else "module"


def _short(parameter: ParameterFact) -> str:
    return parameter.name.rpartition(".")[2]
