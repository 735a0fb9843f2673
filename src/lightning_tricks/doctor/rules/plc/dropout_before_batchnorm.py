"""Dropout before batch normalization: directly, through weights, or diluted."""

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
# in registration order these layers between two others are skipped
_SILENT = ("Identity", "Flatten", "ReLU", "GELU", "SiLU", "LeakyReLU", "ELU", "Tanh", "Sigmoid", "Hardswish")


@rule("PLC001", "warning", kind="batch")
def dropout_before_batchnorm(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout directly before batch normalization.

    What it looks at:  active dropout (of elements or channels, p > 0) whose noise reaches a batch norm that updates its
                       statistics, with no weights and no undropped input in between; only the nearest batch norm.
                       Without a batch, the order of registration, unverified, as info.
    Why it matters:    dropout increases the variance in training only. The batch norm learns this variance and receives
                       another one at inference, where the model may fail completely. The message contains the ratio of
                       test variance to training variance.
    Try:               dropout after the last batch norm, or no dropout: batch norm also regularizes.
    False alarms:      none known; a frozen batch norm (in eval mode) is left out.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §3.
    """
    if evidence.trace is None:
        yield from _by_registration(evidence)
        return
    yield from _report_arrivals(
        evidence, lambda arrival: arrival.fact.level == 0 and _is_pure(arrival), _always_a_warning
    )


@rule("PLC002", "warning", kind="batch", needs=("trace",))
def dropout_before_batchnorm_through_weights(
    evidence: Evidence, *, low_p: float = 0.1, ratio: float = 0.95
) -> Iterator[Symptom]:
    """Dropout before batch normalization, with weights in between.

    What it looks at:  as dropout-before-batchnorm, with linear, convolutional or other weights in between.
    Why it matters:    random weights preserve the variance shift; only weights that are aligned with the mean of their
                       input, as in wide trained networks, reduce it.
    Options:           ``low_p``: info if p is at most this value; ``ratio``: info if test variance over training
                       variance is at least this value.
    Try:               dropout after the last batch norm, p ≤ 0.1, or another normalization.
    False alarms:      very wide trained networks.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §3.
    """

    def is_mild(p: float | None, measured: float | None) -> bool:
        return (p is not None and p <= low_p) or (measured is not None and measured >= ratio)

    yield from _report_arrivals(evidence, lambda arrival: arrival.fact.level == 1 and _is_pure(arrival), is_mild)


@rule("PLC003", "info", kind="batch", needs=("trace",))
def dropout_before_batchnorm_diluted(evidence: Evidence, *, ratio: float = 0.8) -> Iterator[Symptom]:
    """Dropout before batch normalization, diluted by a residual or applied per sample.

    What it looks at:  as dropout-before-batchnorm, if an input without dropout is added or concatenated in between, or
                       if whole samples are dropped (stochastic depth).
    Why it matters:    a part of the variance shift remains.
    Options:           ``ratio``: a warning if no weights are in between and test variance over training variance is
                       below this value.
    Try:               nothing, unless validation is much worse than training.
    False alarms:      normal in networks with stochastic depth, hence info.
    References:        Li et al., Understanding the Disharmony between Dropout and Batch Normalization, 2018, §5.
    """

    def is_mild(p: float | None, measured: float | None) -> bool:
        return measured is None or measured >= ratio

    direct = _report_arrivals(
        evidence, lambda arrival: not _is_pure(arrival) and arrival.fact.level == 0, is_mild, raised="warning"
    )
    behind = _report_arrivals(
        evidence, lambda arrival: not _is_pure(arrival) and arrival.fact.level == 1, lambda p, measured: True
    )
    yield from direct
    yield from behind


def _is_pure(arrival: Arrival) -> bool:
    return not arrival.fact.diluted and arrival.fact.mask != "sample"


def _always_a_warning(p: float | None, measured: float | None) -> bool:
    return False


def _report_arrivals(
    evidence: Evidence,
    concerns: Callable[[Arrival], bool],
    is_mild: Callable[[float | None, float | None], bool],
    raised: Severity | None = None,
) -> Iterator[Symptom]:
    graph = evidence.graph
    measured = {norm.module: norm for norm in graph.trace.batchnorms}
    seen: set[tuple[str, str]] = set()
    for arrival in _worst(graph, find_arrivals(graph)):
        made, norm = graph[arrival.fact.source], graph[arrival.batchnorm]
        if not concerns(arrival) or (made.module, norm.module) in seen:
            continue
        seen.add((made.module, norm.module))
        p, fact = rate_of(made), measured.get(norm.module)
        shift = None if arrival.fact.by_rand or fact is None else fact.variance_ratio
        severity: Severity | None = "info" if is_mild(p, shift) else raised
        message = _message(evidence, arrival, made, norm, p, shift)
        yield Symptom(made.module, message, _remedy(evidence, norm), severity)


def _worst(graph: Graph, arrivals: list[Arrival]) -> list[Arrival]:
    """Keep for each dropout the paths with most of its noise: fixing those fixes the others."""
    best: dict[str, tuple[bool, int]] = {}
    for arrival in arrivals:
        made = graph[arrival.fact.source].module
        best[made] = min(best.get(made, arrival.fact.rank), arrival.fact.rank)
    return [arrival for arrival in arrivals if arrival.fact.rank == best[graph[arrival.fact.source].module]]


def _message(
    evidence: Evidence, arrival: Arrival, made: Operation, norm: Operation, p: float | None, shift: float | None
) -> str:
    source = kind_of(evidence, made)
    rate = "" if p is None else f" (p = {p:g})"
    path = f"through {' → '.join(arrival.fact.path)}" if arrival.fact.path else "directly"
    target = f"{kind_of(evidence, norm)} {norm.module or 'the model itself'}"
    ratio = "" if shift is None else f"; the variance of its input at test time is {shift:.2f}× that in training"
    return f"{source}{rate} reaches {target} {path}{ratio}"


def _remedy(evidence: Evidence, norm: Operation) -> str:
    return f"move the dropout after {kind_of(evidence, norm)} {norm.module}".rstrip() + ", or remove it (p=0)"


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
            yield Symptom(dropout.path, message, "pass a batch to verify it", "info")
            dropout = None
        elif not module.isa(*_SILENT):
            dropout = None


def leaves_in_order(evidence: Evidence) -> Iterator[ModuleFact]:
    """Yield modules without children in the order of registration."""
    return (module for module in evidence.model.modules if module.path and evidence.model.is_layer(module.path))
