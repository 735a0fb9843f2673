"""Provenance: find the dropout noise in each tensor of a trace, and the batch norms that it reaches.

Dropout changes the variance of its output in training but not at inference; a batch norm after it learns the training
variance (Li et al., Disharmony between Dropout and Batch Normalization, 2018). A fact records how much of the noise
remains: level 0 before any weights, 1 after weights or after a sum of products; diluted if an input without dropout was
added, or behind a recurrent layer, whose state is bounded and remembers other steps, or behind attention, which
averages over positions.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import DROPOUTS, LOSSES, RANDOM, RECURRENT, WEIGHTS, words
from lightning_tricks.doctor.facts.trace_facts import Operation

Mask = Literal["element", "channel", "sample"]

# the variance after these does not depend on the variance before
_STOPS = LOSSES | words("""
    layer_norm group_norm instance_norm rms_norm softmax log_softmax argmax argsort sort topk embedding normalize
    one_hot eq ne lt gt le ge isnan isfinite nonzero sign
""")
_JOINS = words("add sub cat stack lerp addcmul addcdiv add_n partial_write setitem where")
_PRODUCTS = words("""
    matmul mm bmm baddbmm einsum scaled_dot_product_attention multi_head_attention_forward
""")
_SUMS = words("sum scatter_add index_add scatter_reduce segment_reduce")
_DECIDING = words("lt gt le ge floor round ceil bernoulli masked_fill")
_UNTRACKED = frozenset(("weight", "bias", "condition", "mask", "attn_mask", "w_ih", "w_hh", "b_ih", "b_hh", "params"))
_PATH_LENGTH = 12


@dataclass(frozen=True)
class Fact:
    """One dropout's noise in a tensor.

    Attributes:
        source: the operation that produced the noise.
        level: 0, or 1 after weights.
        diluted: whether an input without dropout was added, or the noise went through a recurrent layer
            or attention.
        mask: the unit that is dropped together.
        drawn: the operation that drew a manually computed mask; one mask may be used many times.
        by_rand: whether it was drawn from uniform numbers.
        path: the operations in between.
    """

    source: int
    level: int
    diluted: bool
    mask: Mask
    drawn: int | None = None
    by_rand: bool = False
    path: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[bool, int]:
        """A sort key with the worst first: pure before diluted, then without weights before with weights."""
        return self.diluted, self.level


@dataclass(frozen=True)
class Arrival:
    """A fact at a batch norm that updates its statistics, by operations, not modules."""

    batchnorm: int
    fact: Fact


Facts = dict[int, Fact]


def find_arrivals(graph: Graph) -> list[Arrival]:
    """Return the noise that reaches each batch norm; noise is not followed past a batch norm."""
    facts = follow_dropout(graph)
    found = []
    for index, norm in graph.find("batch_norm"):
        source = norm.fed_by("input")
        if source is None or not learns(norm):
            continue
        found += [Arrival(index, fact) for fact in facts[source].values()]
    return found


def learns(batchnorm: Operation) -> bool:
    """Return whether a batch norm was updating its statistics."""
    return bool(batchnorm.settings.get("training", True))


@lru_cache(maxsize=2)  # several rules ask for the same graph
def follow_dropout(graph: Graph) -> list[Facts]:
    """Return for each operation the noise in its result, by the dropout that produced it."""
    facts: list[Facts] = []
    masks: list[_Drawn | None] = []
    data: list[bool] = []
    for index, operation in enumerate(graph.operations):
        data.append(operation.op == "batch" or any(data[each] for each in operation.inputs))
        masks.append(_mask(index, operation, graph, masks, data))
        facts.append(_after(index, operation, facts, masks, data))
    return facts


@dataclass(frozen=True)
class _Drawn:
    """A manually computed mask: the unit it drops, the operation that drew it, and whether that was ``rand``."""

    together: Mask
    by: int
    rand: bool


def _after(index: int, operation: Operation, facts: list[Facts], masks: list[_Drawn | None], data: list[bool]) -> Facts:
    if operation.op in _STOPS or (operation.op == "batch_norm" and learns(operation)):
        return {}
    kinds = zip(operation.inputs, operation.names or ("input",) * len(operation.inputs), strict=False)
    tracked = [each for each, name in kinds if name not in _UNTRACKED]
    result = _join(operation, tracked, facts, data)
    made = active_dropout(operation)
    if made is not None:
        return {index: Fact(index, made[1], False, made[0]), **result}
    if operation.op in ("mul", "div", "where", "masked_fill"):
        drawn = next((masks[each] for each in operation.inputs if masks[each]), None)
        if drawn and any(data[each] and not masks[each] for each in operation.inputs):
            return {index: Fact(index, 0, False, drawn.together, drawn.by, drawn.rand), **result}
    return result


def active_dropout(operation: Operation) -> tuple[Mask, int] | None:
    """Return the unit that a dropout call drops and the level of its noise; ``None`` if it is not an active dropout."""
    settings = operation.settings
    if operation.op in DROPOUTS:
        p, active = settings.get("p", 0.5), settings.get("training", settings.get("train", True))
        return ("element" if operation.op == "dropout" else "channel", 0) if p and active else None
    if operation.op == "scaled_dot_product_attention":
        return ("element", 1) if settings.get("dropout_p") else None
    if operation.op == "multi_head_attention_forward":
        return ("element", 1) if settings.get("dropout_p") and settings.get("training", True) else None
    if operation.op in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        several = int(settings.get("num_layers") or 1) > 1
        return ("element", 1) if settings.get("dropout") and settings.get("train") and several else None
    return None


def _join(operation: Operation, tracked: list[int], facts: list[Facts], data: list[bool]) -> Facts:
    """Return the worst fact of each source among the operands, one step further."""
    joined: Facts = {}
    for each in tracked:
        for source, fact in facts[each].items():
            if source not in joined or fact.rank < joined[source].rank:
                joined[source] = fact
    dilutes = _averages(operation, tracked, data) or (
        operation.op in _JOINS
        and any(data[each] and not any(not fact.diluted for fact in facts[each].values()) for each in tracked)
    )
    return {source: _step(fact, operation, dilutes) for source, fact in joined.items()}


def _averages(operation: Operation, tracked: list[int], data: list[bool]) -> bool:
    """Return whether an operation is recurrent, or multiplies two results that depend on the batch, as in attention."""
    return operation.op in RECURRENT or (operation.op in _PRODUCTS and sum(data[each] for each in tracked) > 1)


def _step(fact: Fact, operation: Operation, dilutes: bool) -> Fact:
    path = fact.path if len(fact.path) >= _PATH_LENGTH else (*fact.path, operation.op)
    is_product = operation.op in WEIGHTS or (operation.op in _SUMS and "mul" in fact.path)
    return replace(fact, level=1 if is_product else fact.level, diluted=fact.diluted or dilutes, path=path)


def _mask(
    index: int, operation: Operation, graph: Graph, masks: list[_Drawn | None], data: list[bool]
) -> _Drawn | None:
    inherited = next((masks[each] for each in operation.inputs if masks[each]), None)
    if inherited and not any(data[each] and not masks[each] for each in operation.inputs):
        return replace(inherited, together=_together(operation.shape))
    if operation.op == "bernoulli":
        return _Drawn(_together(operation.shape), index, False)
    if operation.op in _DECIDING and any(_is_drawn(each, graph) for each in operation.inputs):
        return _Drawn(_together(operation.shape), index, True)
    return None


def _is_drawn(index: int, graph: Graph, depth: int = 4) -> bool:
    operation = graph[index]
    if operation.op == "rand":
        return True
    if operation.op in RANDOM or operation.op in WEIGHTS or not depth:
        return False
    return any(_is_drawn(each, graph, depth - 1) for each in operation.inputs)


def _together(shape: tuple[int, ...]) -> Mask:
    if len(shape) >= 2 and all(length == 1 for length in shape[1:]):
        return "sample"
    return "channel" if len(shape) > 2 and all(length == 1 for length in shape[2:]) else "element"
