"""Followers: what a traced step does with the result of a layer: an activation, a residual sum, or nothing."""

from dataclasses import dataclass

from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import ACTIVATIONS, DROPOUTS, POOLS, SHAPES
from lightning_tricks.doctor.facts.roles import NORMS, calls_of

_SUMS = frozenset({"add", "sub", "addcmul", "lerp"})
_PASSED = SHAPES | DROPOUTS | POOLS | NORMS


@dataclass(frozen=True)
class Followers:
    """The operations that follow the calls of one weight.

    Attributes:
        activations: each activation that takes the result, directly or after norms and pooling, with the slope of a
            leaky one; ``linear`` for a call without an activation.
        ends_residual: whether the result is added, without a norm in between, to the input of the layer's branch.
        calls: the number of uses of the weight.
    """

    activations: tuple[tuple[str, float | None], ...] = ()
    ends_residual: bool = False
    calls: int = 0


def followers_of(graph: Graph, parameter: str) -> Followers:
    """Return the operations that follow a weight.

    Args:
        graph: the graph of a traced step.
        parameter: the name of the weight.

    Example:
        >>> from lightning_tricks.doctor.facts.trace_facts import Operation, TraceFacts
        >>> x, w = Operation("batch", "0", ()), Operation("parameter", "fc.weight", ())
        >>> steps = (x, w, Operation("linear", "fc", (0, 1)), Operation("relu", "", (2,)))
        >>> followers_of(Graph(TraceFacts("forward", "hybrid", steps, outputs=(3,), loss=None)), "fc.weight")
        Followers(activations=(('relu', None),), ends_residual=False, calls=1)
    """
    calls = calls_of(graph, parameter)
    activations = dict.fromkeys(found for call in calls for found in _activations_after(graph, call))
    return Followers(tuple(activations), any(_ends_residual(graph, call) for call in calls), len(calls))


def _activations_after(graph: Graph, index: int) -> list[tuple[str, float | None]]:
    users = [graph[user] for user in graph.reached_by(index, _PASSED)]
    found = [(user.op, user.settings.get("negative_slope")) for user in users if user.op in ACTIVATIONS]
    return [(name, float(slope) if isinstance(slope, (int, float)) else None) for name, slope in found] or [
        ("linear", None)
    ]


def count_residual_sums(graph: Graph) -> int:
    """Return the number of sums that add a branch to its own input."""
    return sum(
        any(_is_trunk_of(graph, trunk, branch) for trunk in operation.inputs for branch in operation.inputs)
        for _, operation in graph.find(*_SUMS)
    )


def _ends_residual(graph: Graph, index: int) -> bool:
    """Return whether a result is added to something that it depends on."""
    after = graph.after(index) | {index}
    for user in graph.reached_by(index, SHAPES | DROPOUTS):
        others = [other for other in graph[user].inputs if other not in after]
        if graph[user].op in _SUMS and any(_is_trunk_of(graph, other, index) for other in others):
            return True
    return False


def _is_trunk_of(graph: Graph, trunk: int, branch: int) -> bool:
    """Return whether a branch depends on data that equals the trunk except for its shape."""
    source = graph.source(trunk)
    is_data = graph[source].op not in {"parameter", "buffer", "constant"}
    return is_data and source != graph.source(branch) and source in graph.before(branch)
