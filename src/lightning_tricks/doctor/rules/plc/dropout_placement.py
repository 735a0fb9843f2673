"""Placement of dropout, apart from batch norms."""

from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.graph import Graph
from lightning_tricks.doctor.facts.naming import call_of, kind_of, rate_of
from lightning_tricks.doctor.facts.operations import ACTIVATIONS, DROPOUTS, LOSSES, RECURRENT, SHAPES, WEIGHTS
from lightning_tricks.doctor.facts.provenance import active_dropout, follow_dropout
from lightning_tricks.doctor.facts.samples import samples_per_row
from lightning_tricks.doctor.rules.rule import NotChecked, Symptom, Symptoms, rule

_CELLS = frozenset(name for name in RECURRENT if name.endswith("_cell"))


@rule("PLC004", "warning", kind="batch", needs=("trace",))
def dropout_in_recurrent_cell(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout on the state of a recurrent cell, with a new mask at each step.

    What it looks at:  the state that is passed to ``LSTMCell``, ``GRUCell`` or ``RNNCell``: whether it contains dropout
                       of an earlier step.
    Why it matters:    dropout is applied to the state again at each step, so the memory fades with the length of the
                       sequence.
    Try:               dropout only on the input and output of the cell, or one mask for the whole sequence.
    False alarms:      a single mask for all steps (variational dropout) is left out.
    References:        Zaremba et al., Recurrent Neural Network Regularization, 2014; Gal & Ghahramani, A Theoretically
                       Grounded Application of Dropout in Recurrent Neural Networks, 2016.
    """
    graph = evidence.graph
    facts = follow_dropout(graph)
    masks: dict[str, dict[int, int]] = {}
    for _, cell in graph.find(*_CELLS):
        states = [each for each, name in zip(cell.inputs, cell.names, strict=False) if name == "hx"]
        for fact in (fact for state in states for fact in facts[state].values()):
            if fact.level == 0 and not fact.diluted:
                drawn = fact.source if fact.drawn is None else fact.drawn
                masks.setdefault(cell.module, {})[drawn] = fact.source
    for module, found in masks.items():
        of_a_state = [source for source in found.values() if _comes_from_a_cell(graph, source)]
        if len(of_a_state) > 1:
            made = graph[of_a_state[0]]
            owner = evidence.model.module(module)
            place = f"{owner.kind} {module}" if owner else "the cell"
            message = (
                f"{call_of(evidence, made)}{_rate(rate_of(made))} is on the state of {place}, with {len(of_a_state)} "
                f"masks in {_steps(graph, module)} steps; with more than one mask the memory fades"
            )
            yield Symptom(
                module, message, "apply dropout to the input and output of the cell, or use one mask per sequence"
            )


def _comes_from_a_cell(graph: Graph, index: int) -> bool:
    return any(graph[each].op in _CELLS for each in graph.before(index))


def _steps(graph: Graph, module: str) -> int:
    return sum(cell.module == module for _, cell in graph.find(*_CELLS))


def _rate(p: float | None) -> str:
    return "" if p is None else f" (p = {p:g})"


@rule("PLC007", "info", kind="batch", needs=("trace",))
def dropout_order(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout in an early layer and none before the last linear layers.

    What it looks at:  networks without attention and with at least three linear layers: the first active dropout, and
                       whether there is a dropout before one of the last two linear layers.
    Why it matters:    late layers cause most of the overfitting; early layers compute the features that all others
                       need.
    Try:               start with dropout before the last linear layer, which ``tricks=[dropout_schedule]`` adds, and
                       continue backwards.
    False alarms:      convolutional networks with spatial dropout, which is left out.
    References:        Hinton et al., Improving neural networks by preventing co-adaptation of feature detectors, 2012.
    """
    graph = evidence.graph
    linear = [index for index, linear in graph.find("linear")]
    dropped = [index for index, dropout in graph.find("dropout") if active_dropout(dropout)]
    attention = any(True for _ in graph.find("scaled_dot_product_attention", "multi_head_attention_forward", "softmax"))
    if len(linear) < 3 or not dropped or attention or any(index > linear[-3] for index in dropped):
        return
    made, last = graph[dropped[0]], graph[linear[-1]]
    message = (
        f"{kind_of(evidence, made)}{_rate(rate_of(made))} is before an early layer, and there is none "
        "before the last 2 of "
        f"{len(linear)} linear layers"
    )
    yield Symptom(made.module, message, f"tricks=[dropout_schedule]: dropout before {last.module or 'the last layer'}")


@rule("PLC008", "warning", kind="batch", needs=("trace",))
def dropout_on_output(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout on the input of the loss or on the output.

    What it looks at:  active dropout whose noise reaches a loss with no weights in between; without a loss, dropout on
                       the result of the last weights.
    Why it matters:    a part of each prediction is set to zero and the rest is scaled up, so the loss is computed from
                       other numbers than the model returns at inference.
    Try:               remove it, or move it before the last layer.
    False alarms:      ensembles by dropout at inference.
    References:        Srivastava et al., Dropout, 2014, §4.
    """
    graph = evidence.graph
    facts = follow_dropout(graph)
    ends = [(i, loss_call.op) for _, loss_call in graph.find(*LOSSES) if (i := loss_call.fed_by("input")) is not None]
    for end, name in ends or [(i, "") for i in graph.trace.outputs]:
        for fact in facts[end].values():
            made = graph[fact.source]
            behind = graph[graph.source(made.inputs[0], SHAPES | ACTIVATIONS)].op in WEIGHTS if made.inputs else False
            if fact.level or fact.diluted or not (name or behind):
                continue
            target = f"`{name}`" if name else "the model's output"
            message = f"{kind_of(evidence, made)}{_rate(rate_of(made))} reaches {target} with no weights in between"
            yield Symptom(made.module, message, "remove it, or move it before the last layer")


@rule("PLC014", "info", kind="batch", needs=("trace",))
def dropout_before_pooling(evidence: Evidence) -> Iterator[Symptom]:
    """Dropout directly before max pooling.

    What it looks at:  active dropout whose result is passed to a max pooling.
    Why it matters:    max pooling selects the largest remaining value, so the effective rate is lower than p.
    Try:               dropout after the pooling.
    False alarms:      intended stochastic pooling.
    References:        Wu & Gu, Towards Dropout Training for Convolutional Neural Networks, 2015.
    """
    graph = evidence.graph
    for index, dropout in graph.find(*DROPOUTS):
        if not active_dropout(dropout):
            continue
        for user in graph.reached_by(index, SHAPES | {"relu"}):
            if graph[user].op.startswith(("max_pool", "adaptive_max_pool", "fractional_max_pool")):
                message = (
                    f"{kind_of(evidence, dropout)}{_rate(rate_of(dropout))} is applied before "
                    f"{call_of(evidence, graph[user])}"
                )
                yield Symptom(dropout.module, message, "move it after the pooling")


@rule("PLC006", "warning", kind="static", needs=("train_loader",))
def dropout_few_samples(evidence: Evidence, *, rows: int = 200, rows_per_unit: int = 10) -> Symptoms:
    """Dropout with few training samples.

    What it looks at:  active dropout modules and the samples of the training set: its rows times the number of values
                       that the loss compares per row (the nodes of a graph); with a batch, also the widest layer with
                       dropout.
    Why it matters:    with few samples the noise of dropout does not average out, and too little signal remains.
    Options:           ``rows``: a warning below it; ``rows_per_unit``: info below this number of rows per unit with
                       dropout.
    Try:               weight decay or ``tricks=[weight_penalty]`` instead of dropout.
    False alarms:      few-shot fine-tuning of a pretrained model.
    References:        Srivastava et al., Dropout, 2014, §7.4.
    """
    assert evidence.train_loader is not None
    found = evidence.train_loader.rows
    each = samples_per_row(evidence)
    found, kind = found if found is None else int(found * each), "rows" if each == 1 else "samples"
    active = [module for module in evidence.model.modules if module.isa("_DropoutNd") and module.settings.get("p")]
    if not active:
        return
    if found is None:
        yield NotChecked("the training set has no length")
    elif found < rows:
        message = f"{active[0].kind} (p = {active[0].settings['p']:g}) with {found} training {kind}, fewer than {rows}"
        yield Symptom(active[0].path, message, "p=0, and tricks=[weight_penalty] with l2=1e-4", repeats=len(active))
    elif evidence.trace is not None:
        made = [
            operation
            for operation in evidence.trace.operations
            if operation.op == "dropout" and active_dropout(operation) and operation.shape
        ]
        widest = max(made, key=lambda operation: operation.shape[-1], default=None)
        if widest is not None and found < rows_per_unit * widest.shape[-1]:
            message = (
                f"{kind_of(evidence, widest)} drops {widest.shape[-1]} units with {found} training {kind}, fewer than "
                f"{rows_per_unit} for each"
            )
            yield Symptom(widest.module, message, "a narrower layer, or tricks=[weight_penalty] instead", "info")
