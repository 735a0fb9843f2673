"""Starting facts: facts from the examination before the first step that are needed to judge the run."""

import math
from collections.abc import Iterator

from lightning_tricks.doctor.facts.evidence import Evidence, LoaderFact
from lightning_tricks.doctor.facts.operations import DROPOUTS
from lightning_tricks.doctor.facts.roles import is_between_layers
from lightning_tricks.doctor.facts.run_facts import StartFact

_CLASS_LOSSES = ("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def starting_facts(evidence: Evidence) -> StartFact:
    """Return the facts of the examination that run-time rules need.

    Example:
        >>> from torch import nn
        >>> from lightning_tricks.doctor.tracing.examine import examine
        >>> starting_facts(examine(nn.Linear(2, 1)))
        StartFact(trained=False, dropout=False, guess=None, guess_is='', without_gradient=(), hidden=())
    """
    called = {operation.op for operation in evidence.trace.operations} if evidence.trace is not None else set()
    has_dropout = any(module.isa("Dropout", "_DropoutNd") for module in evidence.model.modules)
    trained = evidence.model.pretrained_share > 0.5 or (evidence.plan is not None and evidence.plan.done > 0)
    gradients = evidence.step.gradients if evidence.step is not None else ()
    without = tuple(gradient.name for gradient in gradients if not gradient.norm)
    guess = _loss_of_prior(evidence)
    number, guess_is = (guess, "the class frequencies") if guess is not None else _loss_of_constant(evidence)
    return StartFact(
        trained,
        has_dropout or bool(called & DROPOUTS),
        number,
        guess_is,
        without,
        tuple(_activations_between_layers(evidence)),
    )


def _activations_between_layers(evidence: Evidence) -> Iterator[str]:
    """Yield the sigmoids and tanhs between layers."""
    if evidence.trace is not None:
        graph = evidence.graph
        for i, operation in graph.find("sigmoid", "tanh"):
            if is_between_layers(graph, i):
                yield f"{operation.op} {operation.module}"


def _loss_of_constant(evidence: Evidence) -> tuple[float | None, str]:
    """Return the loss of always predicting the mean (median) target, if it is a plain mean error of the targets."""
    rows, trace, loader = evidence.rows, evidence.trace, evidence.train_loader
    if rows is None or trace is None or trace.loss is None or rows.classes is not None or not _draws_evenly(loader):
        return None, ""
    graph, loss = evidence.graph, trace.operations[trace.loss]
    kind, sides = loss.op, loss.inputs[:2]
    if kind == "mean" and "dim" not in loss.settings:  # written out: (pred - y).pow(2).mean()
        power = graph[graph.source(loss.inputs[0])]
        difference = graph[graph.source(power.inputs[0])] if power.inputs else power
        squares = power.op == "square" or (
            power.op == "pow" and 2 in (power.settings.get("other"), power.settings.get("exponent"))
        )
        kind = "mse_loss" if squares else {"abs": "l1_loss"}.get(power.op, "")
        sides = difference.inputs if difference.op == "sub" else ()
        loss = difference
    is_plain = kind in ("mse_loss", "l1_loss") and loss.settings.get("reduction", "mean") == "mean"
    is_whole = len(set(loss.input_shapes[:2])) == 1
    if not (is_plain and is_whole and any(graph[graph.source(side)].op == "batch" for side in sides)):
        return None, ""
    is_square = kind == "mse_loss"
    return (rows.target_variance, "the mean target") if is_square else (rows.target_deviation, "the median target")


def _draws_evenly(loader: LoaderFact | None) -> bool:
    return loader is not None and loader.sampler in ("RandomSampler", "SequentialSampler")


def _loss_of_prior(evidence: Evidence) -> float | None:
    """Return the loss of always predicting the class frequencies, if it is a plain cross entropy of classes."""
    counts, trace, loader = evidence.rows and evidence.rows.classes, evidence.trace, evidence.train_loader
    if not counts or len(counts) == 1 or trace is None or trace.loss is None or loader is None:
        return None
    loss = trace.operations[trace.loss]
    weighted = loss.settings.get("label_smoothing") or {"weight", "pos_weight"} & set(loss.names)
    is_plain = loss.op in _CLASS_LOSSES and loss.settings.get("reduction", "mean") == "mean" and not weighted
    if not is_plain or not _draws_evenly(loader):
        return None
    shape = loss.input_shapes[0] if loss.input_shapes else ()
    if len(shape) > 2 or (loss.op == "cross_entropy") != (len(shape) == 2 and shape[1] > 1):
        return None  # many targets per row
    rows = sum(counts.values())
    return -sum(count / rows * math.log(count / rows) for count in counts.values())
