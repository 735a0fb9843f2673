"""What the batch's numbers look like: scaled inputs, constant features, large targets."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.operations import LOSSES
from lightning_tricks.doctor.facts.roles import inputs, targets
from lightning_tricks.doctor.facts.trace_facts import ArrivalFact
from lightning_tricks.doctor.rules.rule import Observed, Symptom, Symptoms, rule

_LOGARITHMS = {"log", "log1p", "log2", "log10", "asinh"}
_SCALING = {"add", "sub", "mul", "div", "addcmul", "lerp"}
_REGRESSION = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


@rule("DAT001", "warning", kind="batch", needs=("trace",), explains=("INI005", "ACT002", "ACT003"))
def unscaled_inputs(
    evidence: Evidence, *, offset: float = 3.0, largest: float = 20.0, ratio: float = 100.0
) -> Symptoms:
    """Inputs that are not normalised.

    What it looks at:  what of the batch arrives at the first weights, as the step has scaled it, outside of [0, 1]: a
                       mean of many standard deviations, numbers beyond ±20 that are no mere outliers, features whose
                       standard deviations differ a hundredfold.
    Why it matters:    one rate cannot fit all weights, and large inputs saturate the first layer.
    Options:           ``offset``: |mean| in standard deviations; ``largest``: |value|; ``ratio``: between features.
    Try:               subtract the training set's mean and divide by its standard deviation; pixels / 255.
    False alarms:      what goes into a norm or an embedding first, and what reaches no weights, is left out; logarithms
                       may have any mean.
    References:        LeCun et al., Efficient BackProp, 1998, §4.3.
    """
    assert evidence.trace is not None
    graph = evidence.graph
    for arrival in evidence.trace.arrivals:
        source = graph[graph.source(arrival.input)]
        seen = arrival.tensor.statistics
        if seen is not None:
            where = f"batch {source.module}".strip() if source.op == "batch" else f"at {arrival.module}"
            spread = f"std {seen.std:.3g}, from {seen.low:.3g} to {seen.high:.3g}"
            yield Observed(f"{where}: mean {seen.mean:.3g}, {spread}")
        is_logarithm = any(graph[each].op in _LOGARITHMS for each in (arrival.input, *graph.before(arrival.input)))
        said = _unscaled(arrival, math.inf if is_logarithm else offset, largest, ratio)
        if not said:
            continue
        remedy = "(x - mean) / std of the training set; for pixels x / 255"
        if source.op == "batch":
            yield Symptom(f"batch {source.module}".strip(), said, remedy)
        else:
            yield Symptom(arrival.module, f"what arrives here, made of the batch: {said}", remedy)


def _unscaled(arrival: ArrivalFact, offset: float, largest: float, ratio: float) -> str:
    seen, columns = arrival.tensor.statistics, arrival.columns
    if seen is None or columns is None or (seen.low >= 0 and seen.high <= 1) or seen.std == 0:
        return ""
    extreme, said = max(abs(seen.low), abs(seen.high)), []
    if abs(seen.mean) > offset * seen.std:
        said.append(f"mean {seen.mean:.3g} is beyond {offset:g} × std {seen.std:.3g}")
    # numbers of a size of about one may have outliers: standardised features that are nearly constant do
    if extreme > largest and seen.mean**2 + seen.std**2 > (largest / 6) ** 2:
        said.append(f"largest value {extreme:.3g} is beyond {largest:g}")
    if columns.std_ratio > ratio and columns.columns > 1:
        said.append(f"the features' stds differ {columns.std_ratio:.3g}-fold, beyond {ratio:g}")
    return "; ".join(said)


@rule("DAT007", "info", kind="batch", needs=("batch",))
def constant_features(evidence: Evidence, *, rows: int = 256) -> Iterator[Symptom]:
    """Features that never change.

    What it looks at:  columns and channels of float inputs that hold one value throughout the batch.
    Why it matters:    they tell nothing, and a standard deviation of 0 divides by zero when they are normalised.
    Options:           ``rows``: smaller batches are not judged.
    Try:               leave them out; add a small number to the standard deviation.
    False alarms:      padding, rare one-hot features, borders of images: hence info.
    References:        TheDeepChecker, TOSEM 2023.
    """
    for leaf in inputs(evidence):
        columns = leaf.columns
        if columns is not None and columns.rows >= rows and columns.columns > 1 and columns.constant:
            message = f"{columns.constant} of {columns.columns} columns are constant over {columns.rows} rows"
            yield Symptom(f"batch {leaf.path}".strip(), message, "leave them out, they tell nothing")


@rule("DAT009", "warning", kind="batch", needs=("batch", "trace"))
def unscaled_targets(evidence: Evidence, *, limit: float = 100.0) -> Iterator[Symptom]:
    """Regression targets that are large.

    What it looks at:  mean and standard deviation of the targets of squared and absolute losses.
    Why it matters:    the first gradients are as large, and a rate that fits them fits nothing else.
    Options:           ``limit``: the |mean| or standard deviation above which it is said.
    Try:               standardise the targets by the training set's, and predictions back.
    False alarms:      losses in logarithms are left out, and predictions that the step brings to the scale of the
                       batch by numbers of the batch (reversible normalization).
    References:        LeCun et al., Efficient BackProp, 1998.
    """
    losses = {operation.op for operation in evidence.graph.operations if operation.op in LOSSES}
    if not losses or not losses <= set(_REGRESSION):
        return
    graph = evidence.graph
    compared = {
        graph[graph.source(i)].module
        for _, operation in graph.find(*_REGRESSION)
        for i in operation.inputs[:2]
        if not any(_is_rescaled(graph, each) for each in operation.inputs[:2])
    }
    for leaf in targets(evidence):
        seen = leaf.tensor.statistics if leaf.tensor is not None else None
        if seen is None or leaf.path not in compared:
            continue  # scaled on the way, or a target of something else
        size = max(abs(seen.mean), seen.std)
        if size > limit:
            message = f"targets have mean {seen.mean:.3g} and std {seen.std:.3g}, beyond {limit:g}"
            yield Symptom(f"batch {leaf.path}".strip(), message, "(y - mean) / std of the training set")


def _is_rescaled(graph: Graph, prediction: int) -> bool:
    """Return whether the last step to a prediction brings it to the scale of the batch, by numbers of the batch."""
    made = graph[graph.source(prediction)]
    return made.op in _SCALING and any(_is_raw(graph, each) for each in made.inputs)


def _is_raw(graph: Graph, index: int) -> bool:
    before = {graph[each].op for each in (*graph.before(index), index)}
    return "batch" in before and "parameter" not in before
