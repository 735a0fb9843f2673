"""The same layer at several places of a container."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.model_facts import SharedLayerFact
from lightning_tricks.doctor.facts.roles import calls_of
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule


@rule("PLC019", "warning", kind="static")
def layer_repeated_in_container(evidence: Evidence) -> Iterator[Symptom]:
    """One layer at several places of a container.

    What it looks at:  ``nn.Sequential`` and ``nn.ModuleList``: whether the same trainable module is in them more than
                       once, as after ``nn.Sequential(*[block] * 4)``.
    Why it matters:    list multiplication copies references: all places share the same weights, and the network has
                       the parameters of a single layer.
    Try:               ``nn.Sequential(*[make_block() for _ in range(4)])``.
    False alarms:      recurrent designs share layers on purpose. A layer that ``forward`` calls in a loop is not
                       reported, as in ALBERT; a ``ModuleList`` is info, because published models share layers in this
                       way, and only if the layer is applied to its own output: heads that share their weights are not
                       reported.
    References:        Lan et al., ALBERT, 2020.
    """
    for shared in evidence.model.shared_layers:
        if not shared.is_chain and (evidence.trace is None or not _is_chained(evidence, shared)):
            continue
        count, first, last = len(shared.names), shared.names[0], shared.names[-1]
        message = (
            f"places {first} to {last} hold the same {shared.kind} {count} times: {shared.size} parameters instead of "
            f"{count * shared.size}"
        )
        severity: Severity | None = None if shared.is_chain else "info"
        yield Symptom(shared.container, message, "create a layer for each place: [make_layer() for _ in …]", severity)


def _is_chained(evidence: Evidence, shared: SharedLayerFact) -> bool:
    """Return whether a call of the layer depends on its previous call."""
    path = f"{shared.container}.{shared.names[0]}".lstrip(".")
    names = [each.name for each in evidence.model.parameters if f"{each.module}.".startswith(f"{path}.")]
    return any(_depends(evidence.graph, calls_of(evidence.graph, name)) for name in names[:1])


def _depends(graph: Graph, calls: list[int]) -> bool:
    return len(calls) > 1 and calls[0] in graph.before(calls[1])
