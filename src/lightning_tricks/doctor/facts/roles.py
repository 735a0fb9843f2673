"""Roles: which parts of the evidence are inputs, targets, output layers and norms, for use by many rules."""

from lightning_tricks.doctor.facts.evidence import Evidence, LeafFact
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.model_facts import ModuleFact, ParameterFact
from lightning_tricks.doctor.facts.operations import DROPOUTS, LOSSES, POOLS, SHAPES, WEIGHTS, words

TARGET_NAMES = frozenset({"y", "label", "labels", "target", "targets", "class", "classes"})
NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"})
_ELEMENT_BY_ELEMENT = words("tanh exp sigmoid softplus clamp")


def is_norm(module: ModuleFact) -> bool:
    """Return whether a module normalizes, by the names of its classes, because libraries define their own norms."""
    return any("Norm" in base for base in module.bases)


def is_normalized(evidence: Evidence) -> bool:
    """Return whether the model contains any normalization."""
    called = evidence.trace is not None and any(operation.op in NORMS for operation in evidence.trace.operations)
    return called or any(is_norm(module) for module in evidence.model.modules)


def weights(evidence: Evidence) -> list[ParameterFact]:
    """Return the weights of layers: matrices and kernels, without embeddings and norms."""
    found = []
    for parameter in evidence.model.parameters:
        owner = evidence.model.module(parameter.module)
        name = parameter.name.rpartition(".")[2]
        if (
            len(parameter.shape) < 2
            or name == "weight_g"
            or not (name.startswith("weight") or name.endswith("_weight"))
        ):
            continue
        if owner is None or not (owner.isa("Embedding", "EmbeddingBag") or is_norm(owner)):
            found.append(parameter)
    return found


def output_weights(evidence: Evidence) -> set[str]:
    """Return the names of the weights that no other layer follows; without a trace, the last registered one."""
    if evidence.trace is not None:
        graph = evidence.graph
        leads_on = [False] * len(graph.operations)
        for i in reversed(range(len(leads_on))):  # operations that use a result come after it
            leads_on[i] = any(leads_on[user] or graph[user].op in WEIGHTS for user in graph.users[i])
        last = (i for i, _ in graph.find(*WEIGHTS) if not leads_on[i])
        names = {name for i in last for name in parameters_of(graph, i) if _is_matrix(evidence.model.parameter(name))}
        if names:
            return names
    known = weights(evidence)
    return {known[-1].name} if known else set()


def _is_matrix(parameter: ParameterFact | None) -> bool:
    return parameter is not None and len(parameter.shape) > 1


def parameters_of(graph: Graph, index: int) -> list[str]:
    """Return the names of the parameters that an operation uses, directly or reshaped."""
    sources = (graph[graph.source(each)] for each in graph[index].inputs)
    return [source.module for source in sources if source.op == "parameter"]


def calls_of(graph: Graph, name: str) -> list[int]:
    """Return the operations that use a parameter."""
    return [i for i, operation in graph.find(*WEIGHTS) if name in parameters_of(graph, i)]


def is_added_or_multiplied(graph: Graph, index: int) -> bool:
    """Return whether a result is added to or multiplied with an independent tensor: the end of a branch."""
    after = graph.after(index)
    for user in graph.reached_by(index, SHAPES | DROPOUTS | NORMS | _ELEMENT_BY_ELEMENT):
        others = [each for each in graph[user].inputs if each != index and each not in after]
        if graph[user].op in {"add", "sub", "mul", "addcmul", "lerp"} and any(
            graph[each].op not in {"parameter", "buffer", "constant"} for each in others
        ):
            return True
    return False


def is_between_layers(graph: Graph, index: int) -> bool:
    """Return whether a result goes into a layer's weights and is not a gate."""
    users = [graph[user] for user in graph.reached_by(index, SHAPES | DROPOUTS | POOLS | NORMS)]
    return any(user.op in WEIGHTS for user in users) and not any(user.op == "mul" for user in users)


def inputs(evidence: Evidence) -> list[LeafFact]:
    """Return the leaves of the batch that are inputs."""
    targets_ = {leaf.path for leaf in targets(evidence)}
    return [leaf for leaf in _leaves(evidence) if leaf.path not in targets_]


def targets(evidence: Evidence) -> list[LeafFact]:
    """Return the leaves of the batch that are targets: by their use in a loss, by name, or as the last of two."""
    leaves = _leaves(evidence)
    by_loss = _targets_of_losses(evidence)
    if by_loss:
        return [leaf for leaf in leaves if leaf.path in by_loss]
    named = [leaf for leaf in leaves if leaf.path.rpartition(".")[2].lower() in TARGET_NAMES]
    if named or (evidence.trace is not None and evidence.trace.entry == "forward"):
        return named
    takes_steps = evidence.model.is_lightning or evidence.trace is not None
    return [leaves[1]] if takes_steps and [leaf.path for leaf in leaves] == ["0", "1"] else []


def _targets_of_losses(evidence: Evidence) -> set[str]:
    found: set[str] = set()
    if evidence.trace is None:
        return found
    graph = evidence.graph
    for _, loss in graph.find(*LOSSES):
        target = loss.fed_by("target")
        if target is not None and graph[graph.source(target)].op == "batch":
            found.add(graph[graph.source(target)].module)
    return found


def _leaves(evidence: Evidence) -> list[LeafFact]:
    return [] if evidence.batch is None else [leaf for leaf in evidence.batch.leaves if leaf.tensor is not None]
