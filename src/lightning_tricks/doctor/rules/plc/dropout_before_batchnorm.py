"""Dropout before batch normalization: straight, behind weights, diluted."""

from collections.abc import Callable, Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.model_facts import ModuleFact
from lightning_tricks.doctor.facts.naming import kind_of, rate_of
from lightning_tricks.doctor.facts.provenance import Arrival, find_arrivals
from lightning_tricks.doctor.facts.trace_facts import Operation
from lightning_tricks.doctor.rules.finding import Severity
from lightning_tricks.doctor.rules.rule import Symptom, rule

_BATCHNORMS = ("_BatchNorm",)
# in registration order these stand between two others without a word
_SILENT = ("Identity", "Flatten", "ReLU", "GELU", "SiLU", "LeakyReLU", "ELU", "Tanh", "Sigmoid", "Hardswish")


@rule("PLC001", "warning", kind="B")
def dropout_before_batchnorm(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout straight before batch normalization.

    What it looks at:  dropout (element or channel wise, p > 0, active) whose noise reaches a batch norm that learns its
                       statistics, with no weights and nothing undropped between; the nearest batch norm alone. Without
                       a batch the order of registration, not verified, as info.
    Why it matters:    dropout raises the variance in training alone. The batch norm learns that variance and meets
                       another at inference; the model may collapse there. The message has test over train variance.
    Try:               dropout behind the last batch norm; or none: batch norm regularizes.
    False alarms:      none known; a frozen batch norm (eval mode) is left out.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §3.
    """
    if evidence.trace is None:
        yield from _by_registration(evidence)
        return
    yield from _speak(evidence, lambda one: one.fact.level == 0 and _is_pure(one), _always_a_warning)


@rule("PLC002", "warning", kind="B", needs=("trace",))
def dropout_before_batchnorm_through_weights(
    evidence: Evidence, *, low_p: float = 0.1, ratio: float = 0.95
) -> Iterator[Symptom]:
    """Dropout before batch normalization, with weights between.

    What it looks at:  as dropout-before-batchnorm, with linear, convolution or other weights between.
    Why it matters:    random weights keep the shift of variance whole; only weights that are aligned with the mean of
                       their input, as in wide trained nets, make it smaller.
    Options:           ``low_p``: info where p is not above it; ``ratio``: info where test over train variance is not
                       below it.
    Try:               dropout behind the last batch norm, p ≤ 0.1, or another norm.
    False alarms:      very wide trained nets.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §3.
    """

    def is_mild(p: float | None, measured: float | None) -> bool:
        return (p is not None and p <= low_p) or (measured is not None and measured >= ratio)

    yield from _speak(evidence, lambda one: one.fact.level == 1 and _is_pure(one), is_mild)


@rule("PLC003", "info", kind="B", needs=("trace",))
def dropout_before_batchnorm_diluted(evidence: Evidence, *, ratio: float = 0.8) -> Iterator[Symptom]:
    """Dropout before batch normalization, diluted by a residual, or by the sample.

    What it looks at:  as dropout-before-batchnorm, where something without dropout was added or joined on the way, or
                       where whole samples are dropped (stochastic depth).
    Why it matters:    some of the shift of variance is left.
    Options:           ``ratio``: a warning where no weights lie between and test over train variance is below it.
    Try:               nothing, unless validation is much worse than training says.
    False alarms:      normal in nets with stochastic depth, hence info.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §5.
    """

    def is_mild(p: float | None, measured: float | None) -> bool:
        return measured is None or measured >= ratio

    direct = _speak(evidence, lambda one: not _is_pure(one) and one.fact.level == 0, is_mild, raised="warning")
    behind = _speak(evidence, lambda one: not _is_pure(one) and one.fact.level == 1, lambda p, measured: True)
    yield from direct
    yield from behind


def _is_pure(one: Arrival) -> bool:
    return not one.fact.diluted and one.fact.mask != "sample"


def _always_a_warning(p: float | None, measured: float | None) -> bool:
    return False


def _speak(
    evidence: Evidence,
    concerns: Callable[[Arrival], bool],
    is_mild: Callable[[float | None, float | None], bool],
    raised: Severity | None = None,
) -> Iterator[Symptom]:
    graph = evidence.graph
    measured = {one.module: one for one in graph.trace.batchnorms}
    seen: set[tuple[str, str]] = set()
    for one in _worst(graph, find_arrivals(graph)):
        made, norm = graph[one.fact.source], graph[one.batchnorm]
        if not concerns(one) or (made.module, norm.module) in seen:
            continue
        seen.add((made.module, norm.module))
        p, fact = rate_of(made), measured.get(norm.module)
        shift = None if one.fact.by_rand or fact is None else fact.variance_ratio
        severity: Severity | None = "info" if is_mild(p, shift) else raised
        message = _message(evidence, one, made, norm, p, shift)
        yield Symptom(made.module, message, _remedy(evidence, norm), severity)


def _worst(graph: Graph, arrivals: list[Arrival]) -> list[Arrival]:
    """Leave of each dropout the ways that keep most of its noise: who mends those need not hear of the others."""
    best: dict[str, tuple[bool, int]] = {}
    for one in arrivals:
        made = graph[one.fact.source].module
        best[made] = min(best.get(made, one.fact.rank), one.fact.rank)
    return [one for one in arrivals if one.fact.rank == best[graph[one.fact.source].module]]


def _message(
    evidence: Evidence, one: Arrival, made: Operation, norm: Operation, p: float | None, shift: float | None
) -> str:
    source = kind_of(evidence, made)
    rate = "" if p is None else f" (p = {p:g})"
    path = " → ".join(one.fact.path) or "nothing between"
    target = f"{kind_of(evidence, norm)} {norm.module or 'the model itself'}"
    ratio = "" if shift is None else f"; its input's variance is {shift:.2f}× as large at test as in training"
    return f"{source}{rate} reaches {target} through {path}{ratio}"


def _remedy(evidence: Evidence, norm: Operation) -> str:
    return f"move the dropout behind {kind_of(evidence, norm)} {norm.module}".rstrip() + ", or remove it (p=0)"


def _by_registration(evidence: Evidence) -> Iterator[Symptom]:
    dropout: ModuleFact | None = None
    for module in leaves_in_order(evidence):
        if module.isa("_DropoutNd") and not module.isa("AlphaDropout", "FeatureAlphaDropout") and module.settings["p"]:
            dropout = module
        elif dropout is not None and module.isa(*_BATCHNORMS):
            message = (
                f"{dropout.kind} (p = {dropout.settings['p']:g}) is registered before {module.kind} {module.path}: "
                f"registration order only, not verified ({evidence.missing.get('trace', 'no trace')})"
            )
            yield Symptom(dropout.path, message, "give a batch, so that it can be verified", "info")
            dropout = None
        elif not module.isa(*_SILENT):
            dropout = None


def leaves_in_order(evidence: Evidence) -> Iterator[ModuleFact]:
    """Yield modules without children in the order of registration."""
    return (one for one in evidence.model.modules if one.path and evidence.model.is_layer(one.path))
