"""Consecutive linear layers."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of
from lightning_tricks.doctor.facts.operations import DROPOUTS, SHAPES, words
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule

_MOVES = words("permute transpose swapaxes swapdims movedim moveaxis T mT t H")
_GATES = words("sigmoid hardsigmoid tanh silu gelu softmax")
_AVERAGES = words("mean avg_pool1d")
_AFFINE = SHAPES | DROPOUTS | _AVERAGES | {"batch_norm", "mul", "add", "div", "sub"}


@rule("PLC013", "warning", kind="batch", needs=("trace",))
def missing_nonlinearity(evidence: Evidence) -> Iterator[Symptom]:
    """Two linear layers in a row.

    What it looks at:  a linear layer whose result is passed only to one other linear layer, with only reshapes,
                       dropout, constants and batch norm in between, if both work on the same axis. Info if a gate
                       follows, between two parts such as encoder and decoder, and if positions are averaged between
                       them.
    Why it matters:    the two are equivalent to one linear layer: the second adds cost and no expressiveness.
    Try:               an activation between them.
    False alarms:      factorizations, whose inner width is smaller than both others, are left out, and so are results
                       that are used twice, layers over different axes (of mixers), and layers of different optimizers
                       (generator and critic).
    References:        Schoop et al., UMLAUT, 2021; Nikanjam et al., NeuraLint, 2021.
    """
    graph = evidence.graph
    for index, first in graph.find("linear"):
        follower = _next_linear(graph, index)
        second = graph[follower] if follower is not None else None
        if follower is None or second is None or _are_two_nets(evidence, first, second):
            continue
        widths = (*_widths(first), _widths(second)[1])
        if widths[1] >= min(widths[0], widths[2]):
            shown = " → ".join(str(width) for width in widths)
            message = f"{call_of(evidence, first)} feeds {call_of(evidence, second)} linearly ({shown} features)"
            by_design = (
                _feeds_a_gate(graph, follower)
                or _are_of_two_parts(first.module, second.module)
                or not _AVERAGES.isdisjoint(graph[each].op for each in graph.after(index) & graph.before(follower))
            )
            severity: Severity | None = "info" if by_design else None
            yield Symptom(first.module, message, "an activation between them, such as nn.ReLU()", severity)


def _next_linear(graph: Graph, index: int) -> int | None:
    """Return the only linear layer that uses a result, if the features are still in the last axis."""
    while len(graph.users[index]) == 1:
        user = graph.users[index][0]
        operation = graph[user]
        if operation.op == "linear":
            return user if operation.fed_by("input") == index else None
        alone = all(each == index or graph[each].op in ("parameter", "constant", "buffer") for each in operation.inputs)
        if operation.op not in _AFFINE or not alone or _moves_features(graph[index], operation):
            return None
        index = user
    return None


def _moves_features(before: Operation, operation: Operation) -> bool:
    """Return whether an operation moves the last axis of a result, judged by its arguments."""
    if not before.shape or not operation.shape or operation.shape[-1] != before.shape[-1]:
        return True
    if operation.op not in _MOVES:
        return False
    axes = [value for value in operation.settings.values() if isinstance(value, int) and not isinstance(value, bool)]
    last = len(before.shape) - 1
    if operation.op == "permute":
        return not axes or axes[-1] % len(before.shape) != last
    return not axes or last in [axis % len(before.shape) for axis in axes]


def _feeds_a_gate(graph: Graph, index: int) -> bool:
    """Return whether a result is split into values and gates, or multiplied by the sigmoid of another."""
    users = [graph[user] for user in graph.reached_by(index)]
    squashed = [i for i in graph.reached_by(index) if graph[i].op in _GATES]
    return any(user.op in ("glu", "mul") for user in users) or any(
        graph[user].op == "mul" for i in squashed for user in graph.reached_by(i)
    )


def _are_two_nets(evidence: Evidence, *layers: Operation) -> bool:
    """Return whether two layers are trained by different optimizers, such as generator and critic."""
    first, second = (evidence.graph[layer.fed_by("weight") or 0].module for layer in layers)
    held = [
        {name for group in optimizer.groups for name in group.parameters} for optimizer in evidence.optimizers or ()
    ]
    together = any({first, second} <= names for names in held)
    return not together and any(first in names for names in held) and any(second in names for names in held)


def _are_of_two_parts(first: str, second: str) -> bool:
    """Return whether two layers belong to separate parts, such as encoder and decoder."""
    ways = [path.split(".") for path in (first, second)]
    differing = next((i for i, (one, other) in enumerate(zip(*ways, strict=False)) if one != other), None)
    if differing is None or min(map(len, ways)) <= differing + 1:
        return False
    return not any(way[differing].isdigit() for way in ways)


def _widths(linear: Operation) -> tuple[int, int]:
    weight = next(shape for shape, name in zip(linear.input_shapes, linear.names, strict=False) if name == "weight")
    return weight[-1], weight[0] if len(weight) > 1 else 1
