"""Scale of the batch: unscaled inputs, constant features, large targets."""

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
    evidence: Evidence,
    *,
    offset: float = 3.0,
    largest: float = 20.0,
    ratio: float = 100.0,
    scaled: float = 5.0,
    smallest: float = 0.01,
) -> Symptoms:
    """Inputs that are not normalized.

    What it looks at:  the values that the batch passes to the first weights, after the scaling of the step, if they are
                       outside [0, 1]: a mean of many standard deviations, values beyond ±20 that are not only outliers,
                       features whose standard deviations differ by a factor of a hundred; values that are all tiny.
    Why it matters:    one learning rate cannot fit all weights; large inputs saturate the first layer, and tiny ones
                       hardly change its result.
    Options:           ``offset``: |mean| in standard deviations; ``largest``: |value|; ``ratio``: between features;
                       ``scaled``: see below; ``smallest``: values that are all smaller are reported, too.
    Try:               ``tricks=[normalize_inputs]``, which subtracts the mean of the training set and divides by its
                       standard deviation; divide pixels by 255.
    False alarms:      inputs that first enter a normalization layer or an embedding, and inputs that reach no weights,
                       are left out; logarithms may have any mean, and so may values of at most ``scaled`` that the
                       step has divided by numbers of the batch, such as the mean of a series.
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
        is_scaled = _is_divided(graph, arrival.input) and seen is not None and max(-seen.low, seen.high) <= scaled
        problems = _unscaled(arrival, math.inf if is_logarithm or is_scaled else offset, largest, ratio, smallest)
        if not problems:
            continue
        remedy = "tricks=[normalize_inputs]: (x - mean) / std of the training set; for pixels x / 255"
        if source.op == "batch":
            yield Symptom(f"batch {source.module}".strip(), problems, remedy)
        else:
            yield Symptom(arrival.module, f"inputs of this layer, computed from the batch: {problems}", remedy)


def _is_divided(graph: Graph, index: int) -> bool:
    """Return whether a value, or one from which it was computed, was divided by another tensor of the batch."""
    return any(graph[each].op == "div" and len(graph[each].inputs) > 1 for each in (index, *graph.before(index)))


def _unscaled(arrival: ArrivalFact, offset: float, largest: float, ratio: float, smallest: float) -> str:
    seen, columns = arrival.tensor.statistics, arrival.columns
    if seen is None or columns is None or seen.std == 0:
        return ""
    extreme, problems = max(abs(seen.low), abs(seen.high)), []
    if extreme < smallest:
        return f"largest value {extreme:.3g} is below {smallest:g}: scaled twice, perhaps"
    if seen.low >= 0 and seen.high <= 1:
        return ""
    if abs(seen.mean) > offset * seen.std:
        problems.append(f"mean {seen.mean:.3g} is beyond {offset:g} × std {seen.std:.3g}")
    # values of a scale of about one may have outliers: nearly constant features do after standardization
    if extreme > largest and seen.mean**2 + seen.std**2 > (largest / 6) ** 2:
        problems.append(f"largest value {extreme:.3g} is beyond {largest:g}")
    if columns.std_ratio > ratio and columns.columns > 1:
        problems.append(f"the stds of the features differ by a factor of {columns.std_ratio:.3g}, above {ratio:g}")
    return "; ".join(problems)


@rule("DAT007", "info", kind="batch", needs=("batch",))
def constant_features(evidence: Evidence, *, rows: int = 256) -> Iterator[Symptom]:
    """Constant features.

    What it looks at:  columns and channels of floating-point inputs that have a single value in the whole batch.
    Why it matters:    they contain no information, and normalization divides by a standard deviation of 0.
    Options:           ``rows``: smaller batches are not judged.
    Try:               remove them; add a small number to the standard deviation.
    False alarms:      padding, rare one-hot features, image borders: hence info.
    References:        TheDeepChecker, TOSEM 2023.
    """
    for leaf in inputs(evidence):
        columns = leaf.columns
        if columns is not None and columns.rows >= rows and columns.columns > 1 and columns.constant:
            message = f"{columns.constant} of {columns.columns} columns are constant over {columns.rows} rows"
            yield Symptom(f"batch {leaf.path}".strip(), message, "remove them: they contain no information")


@rule("DAT009", "warning", kind="batch", needs=("batch", "trace"))
def unscaled_targets(evidence: Evidence, *, limit: float = 100.0) -> Iterator[Symptom]:
    """Large regression targets.

    What it looks at:  the mean and the standard deviation of the targets of squared and absolute losses.
    Why it matters:    the first gradients have the same scale, and a learning rate that suits them suits no other part
                       of training.
    Options:           ``limit``: the |mean| or standard deviation above which it is reported.
    Try:               standardize the targets with the statistics of the training set, and undo it for predictions;
                       ``tricks=[normalize_inputs]`` does so for targets ``(N, C)`` if its ``key`` names them.
    False alarms:      losses of logarithms are left out, and predictions that the step rescales with statistics of the
                       batch (reversible normalization).
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
            continue  # scaled before the loss, or the target of another loss
        size = max(abs(seen.mean), seen.std)
        if size > limit:
            message = f"targets have mean {seen.mean:.3g} and std {seen.std:.3g}, beyond {limit:g}"
            remedy = "(y - mean) / std of the training set"
            if leaf.tensor is not None and len(leaf.tensor.shape) > 1:
                remedy += f"; tricks=[normalize_inputs] with key={leaf.path}"
            yield Symptom(f"batch {leaf.path}".strip(), message, remedy)


def _is_rescaled(graph: Graph, prediction: int) -> bool:
    """Return whether the last operation of a prediction rescales it with numbers of the batch."""
    made = graph[graph.source(prediction)]
    return made.op in _SCALING and any(_is_raw(graph, each) for each in made.inputs)


def _is_raw(graph: Graph, index: int) -> bool:
    before = {graph[each].op for each in (*graph.before(index), index)}
    return "batch" in before and "parameter" not in before
